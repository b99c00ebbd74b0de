// SPDX-License-Identifier: Apache-2.0
#include "kernels/rows.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rows.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

void layer_norm_impl(const float* const* x, std::int32_t count, std::int32_t channels, const float* weight,
                     const float* bias, float epsilon, float* const* y) {
  const FloatTag d;
  const float reciprocal = 1.0f / static_cast<float>(channels);
  for (std::int32_t row = 0; row < count; ++row) {
    const float* from = x[row];
    float* to = y[row];
    FloatVec sum = hn::Zero(d);
    for_each_vector(d, channels,
                    [&](std::int64_t c, auto part) HWY_ATTR { sum = hn::Add(sum, part.load(d, from + c)); });
    const FloatVec mean = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, sum)) * reciprocal);
    FloatVec squares = hn::Zero(d);
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      const FloatVec centred = part.keep(d, hn::Sub(part.load(d, from + c), mean));
      squares = hn::MulAdd(centred, centred, squares);
    });
    const float variance = hn::GetLane(hn::SumOfLanes(d, squares)) * reciprocal;
    const FloatVec deviation = hn::Set(d, 1.0f / std::sqrt(variance + epsilon));
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      const FloatVec normalized = hn::Mul(hn::Sub(part.load(d, from + c), mean), deviation);
      part.store(d, hn::MulAdd(normalized, part.load(d, weight + c), part.load(d, bias + c)), to + c);
    });
  }
}

void depthwise3x3_row_impl(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* weights,
                           bool with_gelu, float* y) {
  const FloatTag d;
  const float* const rows[3] = {x.above, x.middle, x.below};
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    FloatVec taps[9];
    for (int tap = 0; tap < 9; ++tap) taps[tap] = part.load(d, weights + tap * channels + c);
    for (std::int32_t column = 0; column < width; ++column) {
      FloatVec sum = hn::Zero(d);
      for (int row = 0; row < 3; ++row) {
        if (rows[row] == nullptr) continue;
        const float* at = rows[row] + std::int64_t{column} * channels + c;
        if (column > 0) sum = hn::MulAdd(part.load(d, at - channels), taps[3 * row], sum);
        sum = hn::MulAdd(part.load(d, at), taps[3 * row + 1], sum);
        if (column + 1 < width) sum = hn::MulAdd(part.load(d, at + channels), taps[3 * row + 2], sum);
      }
      if (with_gelu) sum = gelu(d, sum);
      part.store(d, sum, y + std::int64_t{column} * channels + c);
    }
  });
}

void max_pool3x3_row_impl(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside, float* y) {
  const FloatTag d;
  const float* const rows[3] = {x.above, x.middle, x.below};
  const bool border = x.above == nullptr || x.below == nullptr;
  for (std::int32_t column = 0; column < width / 2; ++column) {
    // The middle of the 3x3 field; its right neighbour always exists, as the width is even.
    const std::int64_t middle = std::int64_t{2} * column * channels;
    const bool at_border = border || column == 0;
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      FloatVec largest = at_border ? hn::Set(d, outside) : part.load(d, x.middle + middle + c);
      for (const float* row : rows) {
        if (row == nullptr) continue;
        const float* at = row + middle + c;
        if (column > 0) largest = hn::Max(largest, part.load(d, at - channels));
        largest = hn::Max(largest, part.load(d, at));
        largest = hn::Max(largest, part.load(d, at + channels));
      }
      part.store(d, largest, y + std::int64_t{column} * channels + c);
    });
  }
}

void sum_positions_impl(const float* x, std::int64_t count, std::int32_t channels, float scale, float* y) {
  const FloatTag d;
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    FloatVec sum = hn::Zero(d);
    for (std::int64_t position = 0; position < count; ++position) {
      sum = hn::Add(sum, part.load(d, x + position * channels + c));
    }
    part.store(d, hn::Mul(sum, hn::Set(d, scale)), y + c);
  });
}

void scale_positions_impl(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y) {
  const FloatTag d;
  for (std::int64_t position = 0; position < count; ++position) {
    const float* from = x + position * channels;
    float* to = y + position * channels;
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      part.store(d, hn::Mul(part.load(d, from + c), part.load(d, scale + c)), to + c);
    });
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(layer_norm_impl);
HWY_EXPORT(depthwise3x3_row_impl);
HWY_EXPORT(max_pool3x3_row_impl);
HWY_EXPORT(sum_positions_impl);
HWY_EXPORT(scale_positions_impl);

void layer_norm(const float* const* x, std::int32_t count, std::int32_t channels, const float* weight,
                const float* bias, float epsilon, float* const* y) {
  HWY_DYNAMIC_DISPATCH(layer_norm_impl)(x, count, channels, weight, bias, epsilon, y);
}

void depthwise3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* weights, bool gelu,
                      float* y) {
  HWY_DYNAMIC_DISPATCH(depthwise3x3_row_impl)(x, width, channels, weights, gelu, y);
}

void max_pool3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside, float* y) {
  HWY_DYNAMIC_DISPATCH(max_pool3x3_row_impl)(x, width, channels, outside, y);
}

void sum_positions(const float* x, std::int64_t count, std::int32_t channels, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(sum_positions_impl)(x, count, channels, scale, y);
}

void scale_positions(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y) {
  HWY_DYNAMIC_DISPATCH(scale_positions_impl)(x, count, channels, scale, y);
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
