// SPDX-License-Identifier: Apache-2.0
// Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) over a batch, as timm's Mixup in its batch mode: image i is
// mixed with image B - 1 - i, and so are their targets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/random.h"

namespace gcvit::data {

/// Alphas of the Beta(alpha, alpha) that lambda is drawn from; 0 switches one off. With both on a batch gets one of
/// them, each half the time.
struct MixConfig {
  double mixup = 0.0;
  double cutmix = 0.0;
};

/// One batch's mixing. `lambda` is an image's own share, exact for a cut.
struct Mix {
  float lambda = 1.0f;
  bool cut = false;
  std::int32_t top = 0;  ///< of a cut: the rectangle that comes from the partner
  std::int32_t left = 0;
  std::int32_t height = 0;
  std::int32_t width = 0;
};

/// Draws the mixing of a batch of height x width images; nothing when both are off.
std::optional<Mix> draw_mix(const MixConfig& config, std::int32_t height, std::int32_t width, Random random);

/// `images`: `batch` images of height x width x 3.
void mix_images(const Mix& mix, std::span<float> images, std::size_t batch, std::int32_t height, std::int32_t width);

/// `targets`: `batch` rows, one probability a class.
void mix_targets(const Mix& mix, std::span<float> targets, std::size_t batch);

/// A number from Beta(alpha, alpha), in [0, 1]; alpha > 0.
double draw_beta(double alpha, Random& random);

}  // namespace gcvit::data
