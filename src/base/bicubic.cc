// SPDX-License-Identifier: Apache-2.0
#include "base/bicubic.h"

#include <algorithm>
#include <cmath>

namespace gcvit {
namespace {

constexpr double kA = -0.75;

/// Keys' kernel at `distance` from its centre.
double kernel(double distance) {
  const double x = std::abs(distance);
  if (x <= 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1.0;
  return ((kA * x - 5.0 * kA) * x + 8.0 * kA) * x - 4.0 * kA;
}

}  // namespace

BicubicTaps bicubic_taps(std::int32_t index, std::int32_t from, std::int32_t to) {
  const double centre = (index + 0.5) * (static_cast<double>(from) / to) - 0.5;
  const double below = std::floor(centre);
  BicubicTaps taps;
  for (std::int32_t i = 0; i < 4; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const std::int32_t position = static_cast<std::int32_t>(below) + i - 1;
    taps.positions[k] = std::clamp(position, 0, from - 1);
    taps.weights[k] = static_cast<float>(kernel(centre - position));
  }
  return taps;
}

void resize_bicubic_row(const float* map, const BicubicResize& resize, std::int32_t row, float* out) {
  const std::int64_t channels = resize.channels;
  const BicubicTaps vertical = bicubic_taps(row, resize.height, resize.new_height);
  std::array<const float*, 4> rows;
  for (std::size_t k = 0; k < 4; ++k) rows[k] = map + vertical.positions[k] * resize.width * channels;
  for (std::int32_t x = 0; x < resize.new_width; ++x) {
    const BicubicTaps horizontal = bicubic_taps(x, resize.width, resize.new_width);
    for (std::int64_t c = 0; c < channels; ++c) {
      float sum = 0.0f;
      for (std::size_t k = 0; k < 4; ++k) {
        float along = 0.0f;
        for (std::size_t i = 0; i < 4; ++i)
          along += horizontal.weights[i] * rows[k][horizontal.positions[i] * channels + c];
        sum += vertical.weights[k] * along;
      }
      out[x * channels + c] = sum;
    }
  }
}

void resize_bicubic_row_backward(const float* out_gradient, const BicubicResize& resize, std::int32_t row,
                                 float* map_gradient) {
  const std::int64_t channels = resize.channels;
  const BicubicTaps vertical = bicubic_taps(row, resize.height, resize.new_height);
  for (std::int32_t x = 0; x < resize.new_width; ++x) {
    const BicubicTaps horizontal = bicubic_taps(x, resize.width, resize.new_width);
    for (std::size_t k = 0; k < 4; ++k) {
      for (std::size_t i = 0; i < 4; ++i) {
        const float weight = vertical.weights[k] * horizontal.weights[i];
        float* to =
            map_gradient + (std::int64_t{vertical.positions[k]} * resize.width + horizontal.positions[i]) * channels;
        for (std::int64_t c = 0; c < channels; ++c) to[c] += weight * out_gradient[x * channels + c];
      }
    }
  }
}

}  // namespace gcvit
