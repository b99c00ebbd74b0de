// SPDX-License-Identifier: Apache-2.0
#include "data/mix.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace gcvit::data {
namespace {

/// In (0, 1).
double open_uniform(Random& random) { return (static_cast<double>(random.bits()) + 0.5) * 0x1p-32; }

/// A number from Gamma(alpha, 1) by its logarithm, as small alphas give numbers that a double can't hold. Marsaglia and
/// Tsang 2000; below 1 by the boost Gamma(alpha) = Gamma(alpha + 1) U^(1 / alpha).
double log_gamma_draw(double alpha, Random& random) {
  if (alpha < 1.0) {
    const double boosted = log_gamma_draw(alpha + 1.0, random);
    return boosted + std::log(open_uniform(random)) / alpha;
  }
  const double d = alpha - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = random.normal();
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    if (std::log(open_uniform(random)) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

}  // namespace

double draw_beta(double alpha, Random& random) {
  const double a = log_gamma_draw(alpha, random);
  const double b = log_gamma_draw(alpha, random);
  return 1.0 / (1.0 + std::exp(b - a));
}

std::optional<Mix> draw_mix(const MixConfig& config, std::int32_t height, std::int32_t width, Random random) {
  if (!(config.mixup >= 0.0 && config.cutmix >= 0.0) || std::isinf(config.mixup) || std::isinf(config.cutmix)) {
    fail("[data] mixup, cutmix: expected alphas of at least 0, found {} and {}", config.mixup, config.cutmix);
  }
  if (config.mixup == 0.0 && config.cutmix == 0.0) return std::nullopt;
  Mix mix;
  const bool either = random.uniform() < 0.5f;
  mix.cut = config.mixup == 0.0 || (config.cutmix > 0.0 && either);
  const double lambda = draw_beta(mix.cut ? config.cutmix : config.mixup, random);
  mix.lambda = static_cast<float>(lambda);
  if (!mix.cut) return mix;
  // A rectangle of that share around a point anywhere, cut at the borders.
  const double side = std::sqrt(1.0 - lambda);
  const auto cut_height = static_cast<std::int32_t>(height * side);
  const auto cut_width = static_cast<std::int32_t>(width * side);
  const auto centre_y = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(height)));
  const auto centre_x = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(width)));
  mix.top = std::clamp(centre_y - cut_height / 2, 0, height);
  mix.left = std::clamp(centre_x - cut_width / 2, 0, width);
  mix.height = std::clamp(centre_y + cut_height / 2, 0, height) - mix.top;
  mix.width = std::clamp(centre_x + cut_width / 2, 0, width) - mix.left;
  const double area = static_cast<double>(mix.height) * mix.width;
  mix.lambda = static_cast<float>(1.0 - area / (static_cast<double>(height) * width));
  return mix;
}

namespace {

/// Both get `lambda` of themselves and the rest of the other.
void blend(std::span<float> one, std::span<float> other, float lambda) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    const float a = one[i];
    const float b = other[i];
    one[i] = a * lambda + b * (1.0f - lambda);
    other[i] = b * lambda + a * (1.0f - lambda);
  }
}

}  // namespace

void mix_images(const Mix& mix, std::span<float> images, std::size_t batch, std::int32_t height, std::int32_t width) {
  const std::size_t stride = static_cast<std::size_t>(width) * 3;
  const std::size_t size = static_cast<std::size_t>(height) * stride;
  if (images.size() != batch * size) fail("[data] mix: expected {} floats, found {}", batch * size, images.size());
  // The one in the middle of an odd batch is its own partner and stays.
  for (std::size_t i = 0; i < batch / 2; ++i) {
    const std::span<float> one = images.subspan(i * size, size);
    const std::span<float> other = images.subspan((batch - 1 - i) * size, size);
    if (!mix.cut) {
      blend(one, other, mix.lambda);
      continue;
    }
    for (std::int32_t y = mix.top; y < mix.top + mix.height; ++y) {
      const std::size_t begin = static_cast<std::size_t>(y) * stride + static_cast<std::size_t>(mix.left) * 3;
      const std::span<float> row = one.subspan(begin, static_cast<std::size_t>(mix.width) * 3);
      std::swap_ranges(row.begin(), row.end(), other.begin() + static_cast<std::ptrdiff_t>(begin));
    }
  }
}

void mix_targets(const Mix& mix, std::span<float> targets, std::size_t batch) {
  if (batch == 0 || targets.size() % batch != 0) {
    fail("[data] mix: expected targets of {} images, found {} floats", batch, targets.size());
  }
  const std::size_t classes = targets.size() / batch;
  for (std::size_t i = 0; i < batch / 2; ++i) {
    blend(targets.subspan(i * classes, classes), targets.subspan((batch - 1 - i) * classes, classes), mix.lambda);
  }
}

}  // namespace gcvit::data
