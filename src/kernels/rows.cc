// SPDX-License-Identifier: Apache-2.0
#include "kernels/rows.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rows.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/lane_sum-inl.h"
#include "kernels/math-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

/// The mean and the reciprocal deviation of each row's channels, in two passes, the same in every lane. Several rows at
/// once, as each is one chain of sums.
template <int kRows>
HWY_INLINE void moments(const float* const* rows, std::int32_t channels, float epsilon, FloatVec (&means)[kRows],
                        FloatVec (&reciprocal_deviations)[kRows]) {
  const FloatTag d;
  const float reciprocal = 1.0f / static_cast<float>(channels);
  FloatVec sums[kRows];
  for (FloatVec& sum : sums) sum = hn::Zero(d);
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    for (int r = 0; r < kRows; ++r) sums[r] = hn::Add(sums[r], part.load(d, rows[r] + c));
  });
  for (int r = 0; r < kRows; ++r) {
    means[r] = hn::Set(d, lane_sum(d, sums[r]) * reciprocal);
    sums[r] = hn::Zero(d);
  }
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    for (int r = 0; r < kRows; ++r) {
      const FloatVec centred = part.keep(d, hn::Sub(part.load(d, rows[r] + c), means[r]));
      sums[r] = hn::MulAdd(centred, centred, sums[r]);
    }
  });
  for (int r = 0; r < kRows; ++r) {
    const float variance = lane_sum(d, sums[r]) * reciprocal;
    reciprocal_deviations[r] = hn::Set(d, 1.0f / std::sqrt(variance + epsilon));
  }
}

template <int kRows>
HWY_INLINE void normalize(const float* const* x, std::int32_t channels, const float* weight, const float* bias,
                          float epsilon, float* const* y) {
  const FloatTag d;
  FloatVec means[kRows];
  FloatVec reciprocal_deviations[kRows];
  moments(x, channels, epsilon, means, reciprocal_deviations);
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    const FloatVec factor = part.load(d, weight + c);
    const FloatVec shift = part.load(d, bias + c);
    for (int r = 0; r < kRows; ++r) {
      const FloatVec centred = hn::Sub(part.load(d, x[r] + c), means[r]);
      part.store(d, hn::MulAdd(hn::Mul(centred, reciprocal_deviations[r]), factor, shift), y[r] + c);
    }
  });
}

void layer_norm_impl(const float* const* x, std::int32_t count, std::int32_t channels, const float* weight,
                     const float* bias, float epsilon, float* const* y) {
  std::int32_t row = 0;
  for (; row + 4 <= count; row += 4) normalize<4>(x + row, channels, weight, bias, epsilon, y + row);
  for (; row < count; ++row) normalize<1>(x + row, channels, weight, bias, epsilon, y + row);
}

// With z = (x - mean) / deviation and g = dy * weight: dx = (g - mean(g) - z mean(g z)) / deviation.
void layer_norm_backward_impl(const float* const* x, const float* const* dy, std::int32_t count, std::int32_t channels,
                              const float* weight, float epsilon, float* const* dx, float* dweight, float* dbias) {
  const FloatTag d;
  const float reciprocal = 1.0f / static_cast<float>(channels);
  for (std::int32_t row = 0; row < count; ++row) {
    const float* from = x[row];
    const float* gradient = dy[row];
    float* to = dx[row];
    FloatVec row_mean[1];
    FloatVec reciprocal_deviation[1];
    moments(x + row, channels, epsilon, row_mean, reciprocal_deviation);
    const auto normalized = [&](std::int64_t c, auto part) HWY_ATTR {
      return hn::Mul(hn::Sub(part.load(d, from + c), row_mean[0]), reciprocal_deviation[0]);
    };
    FloatVec sum = hn::Zero(d);
    FloatVec product = hn::Zero(d);
    // Lanes beyond the end are zero in `inner`.
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      const FloatVec inner = hn::Mul(part.load(d, gradient + c), part.load(d, weight + c));
      sum = hn::Add(sum, inner);
      product = hn::MulAdd(inner, normalized(c, part), product);
    });
    const FloatVec mean = hn::Set(d, lane_sum(d, sum) * reciprocal);
    const FloatVec slope = hn::Set(d, lane_sum(d, product) * reciprocal);
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      const FloatVec outer = part.load(d, gradient + c);
      const FloatVec z = normalized(c, part);
      const FloatVec centred = hn::NegMulAdd(z, slope, hn::MulSub(outer, part.load(d, weight + c), mean));
      part.store(d, hn::MulAdd(centred, reciprocal_deviation[0], part.load(d, to + c)), to + c);
      if (dweight != nullptr) {
        part.store(d, hn::MulAdd(outer, z, part.load(d, dweight + c)), dweight + c);
        part.store(d, hn::Add(outer, part.load(d, dbias + c)), dbias + c);
      }
    });
  }
}

void gelu_forward_impl(const float* x, std::int64_t count, float* y) {
  const FloatTag d;
  for_each_vector(d, count,
                  [&](std::int64_t i, auto part) HWY_ATTR { part.store(d, gelu(d, part.load(d, x + i)), y + i); });
}

void gelu_backward_impl(const float* x, const float* dy, std::int64_t count, float* dx) {
  const FloatTag d;
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    part.store(d, hn::Mul(part.load(d, dy + i), gelu_derivative(d, part.load(d, x + i))), dx + i);
  });
}

void sigmoid_backward_impl(const float* y, const float* dy, std::int64_t count, float* dx) {
  const FloatTag d;
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    const FloatVec value = part.load(d, y + i);
    const FloatVec slope = hn::NegMulAdd(value, value, value);
    part.store(d, hn::Mul(part.load(d, dy + i), slope), dx + i);
  });
}

/// One vector of channels of the rows of a depthwise row's field that lie inside the map. Two columns at a time, whose
/// sums don't wait for each other.
template <int kRows, class Part>
HWY_INLINE void depthwise_vector(const float* const* rows, const float* const* weights, std::int32_t width,
                                 std::int32_t channels, bool with_gelu, Part part, float* y) {
  const FloatTag d;
  FloatVec taps[3 * kRows];
  for (int row = 0; row < kRows; ++row) {
    for (int tap = 0; tap < 3; ++tap) taps[3 * row + tap] = part.load(d, weights[row] + tap * channels);
  }
  const auto columns = [&](std::int32_t first, auto count, bool left, bool right) HWY_ATTR {
    FloatVec sums[count];
    for (FloatVec& sum : sums) sum = hn::Zero(d);
    for (int row = 0; row < kRows; ++row) {
      const float* at = rows[row] + std::int64_t{first} * channels;
      for (int tap = 0; tap < 3; ++tap) {
        if ((tap == 0 && !left) || (tap == 2 && !right)) continue;
        for (int i = 0; i < count; ++i) {
          sums[i] = hn::MulAdd(part.load(d, at + (i + tap - 1) * channels), taps[3 * row + tap], sums[i]);
        }
      }
    }
    for (int i = 0; i < count; ++i) {
      part.store(d, with_gelu ? gelu(d, sums[i]) : sums[i], y + std::int64_t{first + i} * channels);
    }
  };
  constexpr std::integral_constant<int, 1> kOne;
  columns(0, kOne, false, width > 1);
  std::int32_t column = 1;
  for (; column + 2 < width; column += 2) columns(column, std::integral_constant<int, 2>(), true, true);
  for (; column < width; ++column) columns(column, kOne, true, column + 1 < width);
}

void depthwise3x3_row_impl(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* weights,
                           bool with_gelu, float* y) {
  const FloatTag d;
  const float* const triple[3] = {x.above, x.middle, x.below};
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    const float* rows[3];
    const float* row_weights[3];
    int count = 0;
    for (int row = 0; row < 3; ++row) {
      if (triple[row] == nullptr) continue;
      rows[count] = triple[row] + c;
      row_weights[count++] = weights + 3 * row * channels + c;
    }
    if (count == 3) {
      depthwise_vector<3>(rows, row_weights, width, channels, with_gelu, part, y + c);
    } else if (count == 2) {
      depthwise_vector<2>(rows, row_weights, width, channels, with_gelu, part, y + c);
    } else {
      depthwise_vector<1>(rows, row_weights, width, channels, with_gelu, part, y + c);
    }
  });
}

void depthwise3x3_weight_gradient_row_impl(const RowTriple& x, std::int32_t width, std::int32_t channels,
                                           const float* dy, float* dweights) {
  const FloatTag d;
  const float* const rows[3] = {x.above, x.middle, x.below};
  for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
    FloatVec sums[9];
    for (FloatVec& sum : sums) sum = hn::Zero(d);
    for (std::int32_t column = 0; column < width; ++column) {
      const FloatVec gradient = part.load(d, dy + std::int64_t{column} * channels + c);
      for (int row = 0; row < 3; ++row) {
        if (rows[row] == nullptr) continue;
        const float* at = rows[row] + std::int64_t{column} * channels + c;
        if (column > 0) sums[3 * row] = hn::MulAdd(part.load(d, at - channels), gradient, sums[3 * row]);
        sums[3 * row + 1] = hn::MulAdd(part.load(d, at), gradient, sums[3 * row + 1]);
        if (column + 1 < width)
          sums[3 * row + 2] = hn::MulAdd(part.load(d, at + channels), gradient, sums[3 * row + 2]);
      }
    }
    for (int tap = 0; tap < 9; ++tap) {
      float* to = dweights + tap * channels + c;
      part.store(d, hn::Add(part.load(d, to), sums[tap]), to);
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

void max_pool3x3_backward_row_impl(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside,
                                   const float* dy, float* dx_above, float* dx_middle, float* dx_below) {
  const FloatTag d;
  const float* const rows[3] = {x.above, x.middle, x.below};
  float* const gradients[3] = {dx_above, dx_middle, dx_below};
  const FloatVec padding = hn::Set(d, outside);
  // A row of minus infinities has its maximum inside nevertheless.
  const bool padding_takes_part = outside > -HUGE_VALF;
  for (std::int32_t column = 0; column < width / 2; ++column) {
    const std::int64_t middle = std::int64_t{2} * column * channels;
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      const auto is_outside = [&](int tap) { return rows[tap / 3] == nullptr || (column == 0 && tap % 3 == 0); };
      FloatVec values[9];
      FloatVec largest = hn::Set(d, -HUGE_VALF);
      for (int tap = 0; tap < 9; ++tap) {
        values[tap] = is_outside(tap) ? padding : part.load(d, rows[tap / 3] + middle + (tap % 3 - 1) * channels + c);
        largest = hn::Max(largest, values[tap]);
      }
      // Whoever comes first among the largest takes what nobody has taken.
      FloatVec gradient = part.load(d, dy + std::int64_t{column} * channels + c);
      for (int tap = 0; tap < 9; ++tap) {
        if (is_outside(tap) && !padding_takes_part) continue;
        const auto wins = hn::Eq(values[tap], largest);
        if (!is_outside(tap)) {
          float* to = gradients[tap / 3] + middle + (tap % 3 - 1) * channels + c;
          part.store(d, hn::Add(part.load(d, to), hn::IfThenElseZero(wins, gradient)), to);
        }
        gradient = hn::IfThenZeroElse(wins, gradient);
      }
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

/// Calls body(index, number of vectors, part) for strips of channels, four vectors wide while there are as many: a pass
/// over positions then takes whole cache lines and keeps its sums in registers.
template <typename Body>
HWY_INLINE void for_each_strip(FloatTag d, std::int32_t channels, const Body& body) {
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  std::int32_t c = 0;
  for (; c + 4 * lanes <= channels; c += 4 * lanes) body(c, std::integral_constant<int, 4>(), WholeVector{});
  for_each_vector(d, channels - c, [&](std::int64_t rest, auto part) HWY_ATTR {
    body(c + rest, std::integral_constant<int, 1>(), part);
  });
}

void scale_positions_backward_impl(const float* x, const float* scale, const float* dy, std::int64_t count,
                                   std::int32_t channels, float* dx, float* dscale) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for_each_strip(d, channels, [&](std::int64_t c, auto vectors, auto part) HWY_ATTR {
    FloatVec sums[vectors];
    FloatVec scales[vectors];
    for (int v = 0; v < vectors; ++v) {
      sums[v] = hn::Zero(d);
      scales[v] = part.load(d, scale + c + v * lanes);
    }
    for (std::int64_t position = 0; position < count; ++position) {
      for (int v = 0; v < vectors; ++v) {
        const std::int64_t at = position * channels + c + v * lanes;
        const FloatVec gradient = part.load(d, dy + at);
        sums[v] = hn::MulAdd(gradient, part.load(d, x + at), sums[v]);
        part.store(d, hn::Mul(gradient, scales[v]), dx + at);
      }
    }
    for (int v = 0; v < vectors; ++v) {
      float* to = dscale + c + v * lanes;
      part.store(d, hn::Add(part.load(d, to), sums[v]), to);
    }
  });
}

void dot_positions_impl(const float* a, const float* b, std::int64_t count, std::int32_t channels, float* sums) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for_each_strip(d, channels, [&](std::int64_t c, auto vectors, auto part) HWY_ATTR {
    FloatVec products[vectors];
    for (FloatVec& product : products) product = hn::Zero(d);
    for (std::int64_t position = 0; position < count; ++position) {
      for (int v = 0; v < vectors; ++v) {
        const std::int64_t at = position * channels + c + v * lanes;
        products[v] = hn::MulAdd(part.load(d, a + at), part.load(d, b + at), products[v]);
      }
    }
    for (int v = 0; v < vectors; ++v) {
      float* to = sums + c + v * lanes;
      part.store(d, hn::Add(part.load(d, to), products[v]), to);
    }
  });
}

void add_to_impl(float* y, const float* x, std::int64_t count) {
  const FloatTag d;
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    part.store(d, hn::Add(part.load(d, y + i), part.load(d, x + i)), y + i);
  });
}

void add_scaled_to_impl(float* y, const float* x, float factor, std::int64_t count) {
  const FloatTag d;
  const FloatVec factors = hn::Set(d, factor);
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    part.store(d, hn::MulAdd(factors, part.load(d, x + i), part.load(d, y + i)), y + i);
  });
}

void add_scaled_positions_impl(const float* x, std::int64_t count, std::int32_t channels, const float* scale,
                               float* y) {
  if (scale == nullptr) return add_to_impl(y, x, count * channels);
  const FloatTag d;
  for (std::int64_t position = 0; position < count; ++position) {
    const float* from = x + position * channels;
    float* to = y + position * channels;
    for_each_vector(d, channels, [&](std::int64_t c, auto part) HWY_ATTR {
      part.store(d, hn::MulAdd(part.load(d, scale + c), part.load(d, from + c), part.load(d, to + c)), to + c);
    });
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(layer_norm_impl);
HWY_EXPORT(layer_norm_backward_impl);
HWY_EXPORT(gelu_forward_impl);
HWY_EXPORT(gelu_backward_impl);
HWY_EXPORT(sigmoid_backward_impl);
HWY_EXPORT(depthwise3x3_row_impl);
HWY_EXPORT(depthwise3x3_weight_gradient_row_impl);
HWY_EXPORT(max_pool3x3_row_impl);
HWY_EXPORT(max_pool3x3_backward_row_impl);
HWY_EXPORT(sum_positions_impl);
HWY_EXPORT(scale_positions_impl);
HWY_EXPORT(scale_positions_backward_impl);
HWY_EXPORT(dot_positions_impl);
HWY_EXPORT(add_to_impl);
HWY_EXPORT(add_scaled_to_impl);
HWY_EXPORT(add_scaled_positions_impl);

void layer_norm(const float* const* x, std::int32_t count, std::int32_t channels, const float* weight,
                const float* bias, float epsilon, float* const* y) {
  HWY_DYNAMIC_DISPATCH(layer_norm_impl)(x, count, channels, weight, bias, epsilon, y);
}

void layer_norm_backward(const float* const* x, const float* const* dy, std::int32_t count, std::int32_t channels,
                         const float* weight, float epsilon, float* const* dx, float* dweight, float* dbias) {
  HWY_DYNAMIC_DISPATCH(layer_norm_backward_impl)(x, dy, count, channels, weight, epsilon, dx, dweight, dbias);
}

void gelu_forward(const float* x, std::int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(gelu_forward_impl)(x, count, y);
}

void gelu_backward(const float* x, const float* dy, std::int64_t count, float* dx) {
  HWY_DYNAMIC_DISPATCH(gelu_backward_impl)(x, dy, count, dx);
}

void sigmoid_backward(const float* y, const float* dy, std::int64_t count, float* dx) {
  HWY_DYNAMIC_DISPATCH(sigmoid_backward_impl)(y, dy, count, dx);
}

void depthwise3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* weights, bool gelu,
                      float* y) {
  HWY_DYNAMIC_DISPATCH(depthwise3x3_row_impl)(x, width, channels, weights, gelu, y);
}

void depthwise3x3_weight_gradient_row(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* dy,
                                      float* dweights) {
  HWY_DYNAMIC_DISPATCH(depthwise3x3_weight_gradient_row_impl)(x, width, channels, dy, dweights);
}

void max_pool3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside, float* y) {
  HWY_DYNAMIC_DISPATCH(max_pool3x3_row_impl)(x, width, channels, outside, y);
}

void max_pool3x3_backward_row(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside,
                              const float* dy, float* dx_above, float* dx_middle, float* dx_below) {
  HWY_DYNAMIC_DISPATCH(max_pool3x3_backward_row_impl)
  (x, width, channels, outside, dy, dx_above, dx_middle, dx_below);
}

void sum_positions(const float* x, std::int64_t count, std::int32_t channels, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(sum_positions_impl)(x, count, channels, scale, y);
}

void scale_positions(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y) {
  HWY_DYNAMIC_DISPATCH(scale_positions_impl)(x, count, channels, scale, y);
}

void scale_positions_backward(const float* x, const float* scale, const float* dy, std::int64_t count,
                              std::int32_t channels, float* dx, float* dscale) {
  HWY_DYNAMIC_DISPATCH(scale_positions_backward_impl)(x, scale, dy, count, channels, dx, dscale);
}

void dot_positions(const float* a, const float* b, std::int64_t count, std::int32_t channels, float* sums) {
  HWY_DYNAMIC_DISPATCH(dot_positions_impl)(a, b, count, channels, sums);
}

void add_to(float* y, const float* x, std::int64_t count) { HWY_DYNAMIC_DISPATCH(add_to_impl)(y, x, count); }

void add_scaled_to(float* y, const float* x, float factor, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(add_scaled_to_impl)(y, x, factor, count);
}

void add_scaled_positions(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y) {
  HWY_DYNAMIC_DISPATCH(add_scaled_positions_impl)(x, count, channels, scale, y);
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
