// SPDX-License-Identifier: Apache-2.0
// From an encoded photo to what training sees of it this time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/decode.h"
#include "image/preprocess.h"
#include "base/random.h"

namespace gcvit::data {

enum class Augment { kNone, kFlip, kRandAugment };

/// How a photo is changed before training sees it. With `kNone` it is what evaluation sees: the preset, nothing random.
struct AugmentConfig {
  image::PreprocessConfig target;  ///< the size and numbers of the tensor; the geometry too where nothing is cropped
  image::DecodeOptions decode;
  Augment kind = Augment::kNone;

  /// kFlip, kRandAugment: a random crop of this share of the picture's area, {smallest, largest} in (0, 1], with sides
  /// of this ratio (width to height), resized to the target; timm's and torchvision's RandomResizedCrop. A scale of
  /// {1, 1} keeps the preset's geometry.
  std::array<double, 2> rrc_scale = {1.0, 1.0};
  std::array<double, 2> rrc_ratio = {3.0 / 4.0, 4.0 / 3.0};
  double flip = 0.5;  ///< kFlip, kRandAugment: the chance to be mirrored left to right
  int randaug_layers = 2;  ///< kRandAugment: operations on a photo
  double randaug_magnitude = 9.0;  ///< kRandAugment: how strong, 0 to 10
  double color_jitter = 0.0;  ///< kFlip: brightness, contrast and saturation times 1 - j to 1 + j
  double random_erasing = 0.0;  ///< kFlip, kRandAugment: the chance that a rectangle becomes normal noise
  /// Random crops of a JPEG are taken from a picture of 1/2, 1/4 or 1/8 the sides where the crop still has at least the
  /// target's pixels: `image::decode_reduced`.
  bool reduced_decoding = true;
};

/// A reduced picture's crop must still have this many times the target's pixels along each side.
inline constexpr double kReductionMargin = 1.25;

/// Floats of a view: height x width x 3.
std::size_t view_size(const AugmentConfig& config);

/// Throws `Error` when a number is out of its range.
void check(const AugmentConfig& config);

/// The whole chain in one line for people.
std::string describe(const AugmentConfig& config);

/// Memory kept between photos; one a thread.
struct ViewScratch {
  image::PreprocessScratch preprocess;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> copy;
};

/// Decodes `bytes` and writes the view that `random` draws, height x width x 3 normalised floats. `name` stands for the
/// photo in errors. Throws `Error` when it can't be decoded.
void make_view(std::span<const std::byte> bytes, std::string_view name, const AugmentConfig& config, Random random,
               std::span<float> view, ViewScratch& scratch);

/// The crop of a RandomResizedCrop: ten tries to place one of a share in `scale` and of a ratio in `ratio`, else the
/// largest in the middle whose ratio is allowed.
image::Window draw_crop(std::int32_t height, std::int32_t width, const std::array<double, 2>& scale,
                        const std::array<double, 2>& ratio, Random& random);

/// By how much a picture may shrink, 1, 2, 4 or 8, for `crop` to keep kReductionMargin times the target's pixels.
int reduction_for(const image::Window& crop, std::int32_t height, std::int32_t width);

/// Random erasing (Zhong et al. 2020) as timm's in its pixel mode: a rectangle of 2 % to a third of the view becomes
/// normal noise.
void erase(std::span<float> view, std::int32_t height, std::int32_t width, Random& random);

}  // namespace gcvit::data
