// SPDX-License-Identifier: Apache-2.0
// tf.image.resize as it is by default: output i of an axis that goes from n to m pixels sits at (i + 1/2) n / m - 1/2
// and takes its two (bilinear) or four (bicubic) neighbours, however much the picture shrinks. Positions are float32,
// as TensorFlow's: the rounding of the cubic's fraction would show another precision.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>

#include "image/resize.h"
#include "base/error.h"

namespace gcvit::image {
namespace {

constexpr std::int32_t kTableSteps = 1024;

using Tap = ResizeScratch::Tap;

/// Keys' cubic, a = -0.5, at `steps` / 1024 from its centre. In double, as single would lose what the terms cancel.
float cubic(std::int32_t steps) {
  constexpr double a = -0.5;
  const double x = static_cast<double>(steps) / kTableSteps;
  const double weight =
      x <= 1.0 ? ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0 : ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  return static_cast<float>(weight);
}

/// The neighbours of one output of an axis and their weights. The bilinear filter has two and repeats the picture's
/// edge; the cubic has four, and what lies outside the picture weighs nothing.
void prepare(std::span<Tap> taps, std::int32_t output, std::int32_t from, std::int32_t to) {
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  const float at = (static_cast<float>(output) + 0.5f) * scale - 0.5f;
  const float below = std::floor(at);
  const float fraction = at - below;
  const auto first = static_cast<std::int32_t>(below) - (taps.size() == 4 ? 1 : 0);
  for (std::size_t k = 0; k < taps.size(); ++k) {
    taps[k].input = std::clamp(first + static_cast<std::int32_t>(k), 0, from - 1);
  }
  if (taps.size() == 2) {
    taps[0].weight = 1.0f - fraction;
    taps[1].weight = fraction;
    return;
  }
  const auto steps = static_cast<std::int32_t>(std::lrint(fraction * static_cast<float>(kTableSteps)));
  float sum = 0.0f;
  for (std::int32_t k = 0; k < 4; ++k) {
    Tap& tap = taps[static_cast<std::size_t>(k)];
    tap.weight = tap.input == first + k ? cubic(std::abs(steps - (k - 1) * kTableSteps)) : 0.0f;
    sum += tap.weight;
  }
  const float scale_to_one = 1.0f / sum;
  for (Tap& tap : taps) tap.weight *= scale_to_one;
}

template <std::size_t kTaps>
void resize(const Image& image, const ByteValues& byte_values, std::int32_t height, std::int32_t width, float* out,
            std::vector<Tap>& columns) {
  columns.resize(static_cast<std::size_t>(width) * kTaps);
  for (std::int32_t x = 0; x < width; ++x) {
    prepare(std::span(columns).subspan(static_cast<std::size_t>(x) * kTaps, kTaps), x, image.width, width);
  }
  for (std::int32_t y = 0; y < height; ++y) {
    std::array<Tap, kTaps> row_taps;
    prepare(row_taps, y, image.height, height);
    std::array<const std::uint8_t*, kTaps> rows;
    for (std::size_t k = 0; k < kTaps; ++k) {
      rows[k] =
          image.pixels.data() + static_cast<std::size_t>(row_taps[k].input) * static_cast<std::size_t>(image.width) * 3;
    }
    for (const Tap* taps = columns.data(); taps != columns.data() + columns.size(); taps += kTaps) {
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const std::array<float, 256>& values = byte_values[channel];
        float sum = 0.0f;
        for (const Tap& column : std::span<const Tap, kTaps>(taps, kTaps)) {
          const std::size_t at = static_cast<std::size_t>(column.input) * 3 + channel;
          float column_sum = 0.0f;
          for (std::size_t k = 0; k < kTaps; ++k) column_sum += row_taps[k].weight * values[rows[k][at]];
          sum += column.weight * column_sum;
        }
        *out++ = sum;
      }
    }
  }
}

}  // namespace

void resize_tensorflow(const Image& image, const ByteValues& byte_values, std::int32_t height, std::int32_t width,
                       Filter filter, std::span<float> out, ResizeScratch& scratch) {
  check(image);
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide) {
    fail(ErrorCode::kInvalidArgument,
         "[image] resize: expected target sides of 1 to {} pixels, found {} x {} (width x height)", kMaxSide, width,
         height);
  }
  const std::size_t floats = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  if (out.size() != floats)
    fail(ErrorCode::kInvalidArgument, "[image] resize: expected room for {} floats, found {}", floats, out.size());
  const auto chosen = filter == Filter::kBilinear ? resize<2> : resize<4>;
  chosen(image, byte_values, height, width, out.data(), scratch.taps);
}

}  // namespace gcvit::image
