// SPDX-License-Identifier: Apache-2.0
// What one head's forward and backward share, for inclusion per target: its scratch, packed keys and values, scores and their
// softmax.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_ATTENTION_INL_H_
#undef GCVIT_KERNELS_ATTENTION_INL_H_
#else
#define GCVIT_KERNELS_ATTENTION_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/attention.h"
#include "kernels/gemm-inl.h"
#include "kernels/lane_sum-inl.h"
#include "kernels/math-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

inline std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Rows of scores of a forward: a block's, and the next one's bias.
inline constexpr std::int32_t kScoreRows = 2 * kTileRows;

/// Where the parts of the scratch lie. Widths are whole panels; a row of scores has a vector to spare, as the bias is
/// written in whole vectors.
struct Scratch {
  Scratch(std::int32_t tokens, std::int32_t head_dim) {
    const std::int64_t panel = kPanelVectors * static_cast<std::int64_t>(hn::Lanes(FloatTag()));
    score_stride = round_up(tokens, panel) + round_up(static_cast<std::int64_t>(hn::Lanes(FloatTag())), 16);
    out_stride = round_up(head_dim, panel);
    keys = 0;
    values = keys + round_up(tokens, panel) * head_dim;
    scores = values + out_stride * tokens;
    outs = scores + kScoreRows * score_stride;
    size = round_up(outs + kTileRows * out_stride, 16);
  }
  std::int64_t score_stride, out_stride, keys, values, scores, outs, size;
};

template <bool kScaled>
HWY_INLINE void put_key(const float* from, float scale, float* to) {
  if constexpr (kScaled) {
    *to = *from * scale;
  } else {
    std::memcpy(to, from, sizeof(*to));
  }
}

/// keys [tokens][head_dim] -> panels [head_dim][panel], times scale, zeros beyond the last token. What isn't scaled may be
/// any bits.
template <bool kScaled>
inline void pack_keys(const float* const* k, std::int32_t tokens, std::int32_t head_dim, float scale, float* panels) {
  const auto panel = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag()));
  for (std::int32_t first = 0; first < tokens; first += panel) {
    float* to = panels + std::int64_t{first} * head_dim;
    const std::int32_t count = std::min(panel, tokens - first);
    if (count < panel) std::fill_n(to, std::int64_t{panel} * head_dim, 0.0f);
    std::int32_t done = 0;
#if HWY_TARGET != HWY_SCALAR
    // Four keys by four channels at a time, transposed in registers.
    const hn::CappedTag<float, 4> d4;
    const hn::RepartitionToWide<decltype(d4)> d2;
    const auto scaled = [d4, factor = hn::Set(d4, scale)](auto v)
                            HWY_ATTR { return kScaled ? hn::Mul(factor, hn::BitCast(d4, v)) : hn::BitCast(d4, v); };
    const std::int32_t whole_channels = head_dim / 4 * 4;
    for (; done + 4 <= count; done += 4) {
      const float* const* rows = k + first + done;
      for (std::int32_t c = 0; c < whole_channels; c += 4) {
        const auto r0 = hn::LoadU(d4, rows[0] + c);
        const auto r1 = hn::LoadU(d4, rows[1] + c);
        const auto r2 = hn::LoadU(d4, rows[2] + c);
        const auto r3 = hn::LoadU(d4, rows[3] + c);
        const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));
        const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
        const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
        const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
        float* at = to + std::int64_t{c} * panel + done;
        hn::StoreU(scaled(hn::InterleaveLower(d2, low01, low23)), d4, at);
        hn::StoreU(scaled(hn::InterleaveUpper(d2, low01, low23)), d4, at + panel);
        hn::StoreU(scaled(hn::InterleaveLower(d2, high01, high23)), d4, at + 2 * panel);
        hn::StoreU(scaled(hn::InterleaveUpper(d2, high01, high23)), d4, at + 3 * panel);
      }
      for (std::int32_t c = whole_channels; c < head_dim; ++c) {
        for (std::int32_t t = 0; t < 4; ++t) to[std::int64_t{c} * panel + done + t] = rows[t][c] * scale;
      }
    }
#endif
    for (std::int32_t t = done; t < count; ++t) {
      for (std::int32_t c = 0; c < head_dim; ++c)
        put_key<kScaled>(k[first + t] + c, scale, to + std::int64_t{c} * panel + t);
    }
  }
}

/// values [tokens][head_dim] -> panels [tokens][panel], times scale, zeros beyond the last channel.
inline void pack_values(const float* const* v, std::int32_t tokens, std::int32_t head_dim, float scale, float* panels) {
  const FloatTag d;
  const FloatVec factor = hn::Set(d, scale);
  const auto panel = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(d));
  for (std::int32_t first = 0; first < head_dim; first += panel) {
    const std::int32_t count = std::min(panel, head_dim - first);
    for (std::int32_t t = 0; t < tokens; ++t, panels += panel) {
      if (count < panel) std::fill_n(panels, panel, 0.0f);
      for_each_vector(d, count, [&](std::int64_t c, auto part) HWY_ATTR {
        part.store(d, hn::Mul(factor, part.load(d, v[t] + first + c)), panels + c);
      });
    }
  }
}

/// Writes the bias of query `token` to every key into `row`, plus what a last vector carries beyond it.
inline void fill_bias(const PackedBias& bias, const float* table, std::int32_t token, float* row) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t width = bias.window_width;
  const std::int32_t y = token / width;
  const std::int32_t x = token % width;
  const std::int32_t stride = 2 * width - 1;
  const float* from = table + (y + bias.window_height - 1) * stride + (width - 1 - x);
  for (std::int32_t v = 0; v < bias.window_height; ++v) {
    for (std::int32_t u = 0; u < width; u += lanes) {
      hn::StoreU(hn::LoadU(d, from - v * stride + u), d, row + v * width + u);
    }
  }
}

/// exp of the difference of a score from the largest one, at least exp(-87); of a NaN one.
HWY_INLINE FloatVec numerator_of(FloatVec difference) {
  const FloatTag d;
  return nan_of(d, difference, exponential_in_range(d, hn::Max(hn::Set(d, -87.0f), difference)));
}

/// Of each row: row = exp(row - its maximum), zeros up to the end of its last vector; reciprocals[r] = 1 / the sum.
/// Several rows at once, as each is one chain of maximum, exponential and sum.
template <int kRows>
HWY_INLINE void softmax_numerators(float* const* rows, std::int32_t count, float* reciprocals) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t whole = count / lanes * lanes;
  const auto rest = hn::FirstN(d, static_cast<std::size_t>(count - whole));
  // Beyond the last key the row takes part as minus infinity.
  const auto last = [&](int r) HWY_ATTR {
    return hn::IfThenElse(rest, hn::LoadU(d, rows[r] + whole), hn::Set(d, -HUGE_VALF));
  };
  FloatVec largest[kRows];
  FloatVec sums[kRows];
  for (int r = 0; r < kRows; ++r) {
    largest[r] = whole < count ? last(r) : hn::Set(d, -HUGE_VALF);
    sums[r] = hn::Zero(d);
  }
  for (std::int64_t i = 0; i < whole; i += lanes) {
    for (int r = 0; r < kRows; ++r) largest[r] = hn::Max(largest[r], hn::LoadU(d, rows[r] + i));
  }
  for (int r = 0; r < kRows; ++r) largest[r] = hn::MaxOfLanes(d, largest[r]);
  for (std::int64_t i = 0; i < whole; i += lanes) {
    for (int r = 0; r < kRows; ++r) {
      const FloatVec numerator = numerator_of(hn::Sub(hn::LoadU(d, rows[r] + i), largest[r]));
      hn::StoreU(numerator, d, rows[r] + i);
      sums[r] = hn::Add(sums[r], numerator);
    }
  }
  for (int r = 0; r < kRows && whole < count; ++r) {
    const FloatVec numerator = hn::IfThenElseZero(rest, numerator_of(hn::Sub(last(r), largest[r])));
    hn::StoreU(numerator, d, rows[r] + whole);
    sums[r] = hn::Add(sums[r], numerator);
  }
  for (int r = 0; r < kRows; ++r) reciprocals[r] = 1.0f / lane_sum(d, sums[r]);
}

/// softmax_numerators of up to kTileRows rows.
inline void softmax_numerators(float* const* rows, std::int32_t row_count, std::int32_t count, float* reciprocals) {
  std::int32_t r = 0;
  for (; r + 3 <= row_count; r += 3) softmax_numerators<3>(rows + r, count, reciprocals + r);
  if (row_count - r == 2) softmax_numerators<2>(rows + r, count, reciprocals + r);
  if (row_count - r == 1) softmax_numerators<1>(rows + r, count, reciprocals + r);
}

/// The block of the dense product for a panel of which `columns` count.
inline GemmBlock block_for(std::int32_t rows, std::int32_t columns) {
  return columns <= static_cast<std::int32_t>(hn::Lanes(FloatTag())) ? gemm_block_for<1>(rows)
                                                                     : gemm_block_for<kPanelVectors>(rows);
}

/// Whether the last key is alone in its vector, as of 49 tokens: its products are then sums over channels in lanes, not
/// a panel's.
inline bool has_single_key(std::int32_t tokens) {
  return tokens % static_cast<std::int32_t>(hn::Lanes(FloatTag())) == 1 && hn::Lanes(FloatTag()) > 1;
}

/// Adds scale q k^T for one key to `column` of the rows of scores.
inline void add_single_products(const float* const* q, const float* k, std::int32_t head_dim, float scale,
                                std::int32_t rows, std::int32_t column, float* const* scores) {
  const FloatTag d;
  for (std::int32_t r = 0; r < rows; ++r) {
    FloatVec sum = hn::Zero(d);
    for_each_vector(d, head_dim, [&](std::int64_t c, auto part) HWY_ATTR {
      sum = hn::MulAdd(part.load(d, q[r] + c), part.load(d, k + c), sum);
    });
    scores[r][column] += scale * lane_sum(d, sum);
  }
}

/// Whether a product's results take the place of what lies there or are added to it.
enum class Into : bool { kPlace, kSum };

/// c [rows][columns] = a [rows][depth] times panels that are packed [depth][panel], one behind the other.
/// `block_of(rows, columns)`: the block for a panel of which that many columns count.
inline void multiply_panels(const float* const* a, const float* panels, std::int32_t depth, std::int32_t columns,
                            std::int32_t rows, float* const* c, Into into,
                            GemmBlock (*block_of)(std::int32_t, std::int32_t)) {
  const auto width = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag()));
  for (std::int32_t column = 0; column < columns; column += width) {
    const Panel panel{.b = panels + std::int64_t{column} * depth,
                      .b_stride = width,
                      .c_offset = column,
                      .bias = nullptr,
                      .gamma = nullptr,
                      .accumulate = into == Into::kSum};
    block_of(rows, columns - column)(a, 0, 1, depth, panel, c, nullptr);
  }
}

/// Adds scale q k^T to rows of scores that hold the bias; `keys`: k packed times scale.
inline void add_products(const float* const* q, const float* keys, const float* const* k, std::int32_t tokens,
                         std::int32_t head_dim, float scale, std::int32_t rows, float* const* scores) {
  const std::int32_t single = has_single_key(tokens) ? 1 : 0;
  multiply_panels(q, keys, head_dim, tokens - single, rows, scores, Into::kSum, block_for);
  if (single != 0) add_single_products(q, k[tokens - 1], head_dim, scale, rows, tokens - 1, scores);
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
