// SPDX-License-Identifier: Apache-2.0
// RandAugment (Cubuk et al. 2020) as timm's `rand-mM-mstd0.5-inc1` does it: the operations and their strengths.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/pixel_ops.h"
#include "base/random.h"

namespace gcvit::data {

enum class PixelOperation {
  kAutoContrast,
  kEqualize,
  kInvert,
  kRotate,
  kPosterize,
  kSolarize,
  kSolarizeAdd,
  kColor,
  kContrast,
  kBrightness,
  kSharpness,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
};
inline constexpr int kPixelOperations = 15;

/// "auto_contrast", "equalize", ...
std::string_view to_string(PixelOperation operation);

/// Applies one operation of strength `magnitude` (0 to 10), in the direction that `backwards` says where it has two.
/// `fill` is what comes in from outside.
void apply_operation(PixelOperation operation, double magnitude, bool backwards, const Pixels& pixels,
                     const std::array<std::uint8_t, 3>& fill, std::vector<std::uint8_t>& copy);

/// `layers` times: an operation, each equally likely, is applied with chance 1/2, its strength drawn from a normal
/// around `magnitude` of deviation 0.5 (cut to 0..10), its direction at random.
void rand_augment(const Pixels& pixels, int layers, double magnitude, const std::array<std::uint8_t, 3>& fill,
                  Random& random, std::vector<std::uint8_t>& copy);

}  // namespace gcvit::data
