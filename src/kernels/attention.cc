// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/bf16_pairs.h"
#include "kernels/gemm-inl.h"
#include "kernels/lane_sum-inl.h"
#include "kernels/math-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// What pairs of bfloat16 want head_dim to be a multiple of: a panel's width of the only target that has them.
constexpr std::int32_t kPairChannels = 32;
/// Keys that are packed as pairs at once, whole panels.
constexpr std::int32_t kMostKeysAtOnce = 64;

/// Rows of scores of a forward: a block's, and the next one's bias.
constexpr std::int32_t kScoreRows = 2 * kTileRows;

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

std::int64_t attention_scratch_size_impl(std::int32_t tokens, std::int32_t head_dim) {
  return Scratch(tokens, head_dim).size;
}

template <bool kScaled>
HWY_INLINE void put_key(const float* from, float scale, float* to) {
  if constexpr (kScaled) {
    *to = *from * scale;
  } else {
    std::memcpy(to, from, sizeof(*to));
  }
}

/// Whether the products of a head are of pairs of bfloat16.
bool takes_pairs(const AttentionHead& head) {
  return HWY_TARGET == HWY_AVX3 && head.precision == Precision::kBf16 && head.head_dim % kPairChannels == 0 &&
         has_bf16_pairs();
}

/// keys [tokens][head_dim] -> panels [head_dim][panel], times scale, zeros beyond the last token. What isn't scaled may be
/// any bits.
template <bool kScaled>
void pack_keys(const float* const* k, std::int32_t tokens, std::int32_t head_dim, float scale, float* panels) {
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
void pack_values(const float* const* v, std::int32_t tokens, std::int32_t head_dim, float scale, float* panels) {
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

/// keys [tokens][head_dim] -> panels of pairs [head_dim / 2][panel]; `rows` takes the pairs of a key side by side.
void pack_key_pairs(const float* const* k, std::int32_t tokens, std::int32_t head_dim, float* rows, float* panels) {
  const std::int32_t depth = head_dim / 2;
  const float* pairs[kMostKeysAtOnce];
  for (std::int32_t first = 0; first < tokens; first += kMostKeysAtOnce) {
    const std::int32_t count = std::min(kMostKeysAtOnce, tokens - first);
    for (std::int32_t t = 0; t < count; ++t) {
      pairs[t] = rows + std::int64_t{t} * depth;
      round_whole_pairs(k[first + t], head_dim, 1.0f, rows + std::int64_t{t} * depth);
    }
    pack_keys<false>(pairs, count, depth, 1.0f, panels + std::int64_t{first} * depth);
  }
}

/// values [tokens][head_dim] -> panels of pairs [(tokens + 1) / 2][panel], of which each holds two tokens.
void pack_value_pairs(const float* const* v, std::int32_t tokens, std::int32_t head_dim, float* panels) {
  for (std::int32_t c = 0; c < head_dim; c += kPairChannels) {
    for (std::int32_t t = 0; t < tokens; t += 2, panels += kPairChannels) {
      pair_rows(v[t] + c, t + 1 < tokens ? v[t + 1] + c : nullptr, kPairChannels, panels);
    }
  }
}

/// Writes the bias of query `token` to every key into `row`, plus what a last vector carries beyond it.
void fill_bias(const PackedBias& bias, const float* table, std::int32_t token, float* row) {
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
void softmax_numerators(float* const* rows, std::int32_t row_count, std::int32_t count, float* reciprocals) {
  std::int32_t r = 0;
  for (; r + 3 <= row_count; r += 3) softmax_numerators<3>(rows + r, count, reciprocals + r);
  if (row_count - r == 2) softmax_numerators<2>(rows + r, count, reciprocals + r);
  if (row_count - r == 1) softmax_numerators<1>(rows + r, count, reciprocals + r);
}

/// The block of the dense product for a panel of which `columns` count.
GemmBlock block_for(std::int32_t rows, std::int32_t columns) {
  return columns <= static_cast<std::int32_t>(hn::Lanes(FloatTag())) ? gemm_block_for<1>(rows)
                                                                     : gemm_block_for<kPanelVectors>(rows);
}

/// Whether the last key is alone in its vector, as of 49 tokens: its products are then sums over channels in lanes, not
/// a panel's.
bool has_single_key(std::int32_t tokens) {
  return tokens % static_cast<std::int32_t>(hn::Lanes(FloatTag())) == 1 && hn::Lanes(FloatTag()) > 1;
}

/// Adds scale q k^T for one key to `column` of the rows of scores.
void add_single_products(const float* const* q, const float* k, std::int32_t head_dim, float scale, std::int32_t rows,
                         std::int32_t column, float* const* scores) {
  const FloatTag d;
  for (std::int32_t r = 0; r < rows; ++r) {
    FloatVec sum = hn::Zero(d);
    for_each_vector(d, head_dim, [&](std::int64_t c, auto part) HWY_ATTR {
      sum = hn::MulAdd(part.load(d, q[r] + c), part.load(d, k + c), sum);
    });
    scores[r][column] += scale * lane_sum(d, sum);
  }
}

/// Adds scale q k^T to rows of scores that hold the bias; `keys`: k packed times scale.
void add_products(const float* const* q, const float* keys, const float* const* k, std::int32_t tokens,
                  std::int32_t head_dim, float scale, std::int32_t rows, float* const* scores) {
  const auto width = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag()));
  const std::int32_t single = has_single_key(tokens) ? 1 : 0;
  for (std::int32_t column = 0; column < tokens - single; column += width) {
    const Panel panel{.b = keys + std::int64_t{column} * head_dim,
                      .b_stride = width,
                      .c_offset = column,
                      .bias = nullptr,
                      .gamma = nullptr,
                      .accumulate = true};
    block_for(rows, tokens - single - column)(q, 0, 1, head_dim, panel, scores, nullptr);
  }
  if (single != 0) add_single_products(q, k[tokens - 1], head_dim, scale, rows, tokens - 1, scores);
}

/// The products of a head's forward in f32.
class FloatProducts {
 public:
  FloatProducts(const AttentionHead& head, std::int32_t tokens, const Scratch& at)
      : head_(head), tokens_(tokens), keys_(head.scratch + at.keys), values_(head.scratch + at.values) {
    pack_keys<true>(head.k, tokens - (has_single_key(tokens) ? 1 : 0), head.head_dim, head.scale, keys_);
    pack_values(head.v, tokens, head.head_dim, 1.0f, values_);
  }
  /// Adds scale q k^T of queries [first, first + rows) to rows that hold the bias.
  void add_scores(std::int32_t first, std::int32_t rows, float* const*, float* const* scores) const {
    add_products(head_.q + first, keys_, head_.k, tokens_, head_.head_dim, head_.scale, rows, scores);
  }
  /// outs = scores v.
  void weigh_values(std::int32_t rows, float* const* scores, float* const* outs) const {
    const auto width = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag()));
    for (std::int32_t column = 0; column < head_.head_dim; column += width) {
      const Panel panel{.b = values_ + std::int64_t{column} * tokens_,
                        .b_stride = width,
                        .c_offset = column,
                        .bias = nullptr,
                        .gamma = nullptr};
      block_for(rows, head_.head_dim - column)(scores, 0, 1, tokens_, panel, outs, nullptr);
    }
  }

 private:
  const AttentionHead& head_;
  std::int32_t tokens_;
  float* keys_;
  float* values_;
};

/// The same of pairs of bfloat16; the products of a key that is alone in its vector stay f32.
class PairProducts {
 public:
  PairProducts(const AttentionHead& head, std::int32_t tokens, const Scratch& at)
      : head_(head),
        tokens_(tokens),
        single_(has_single_key(tokens) ? 1 : 0),
        keys_(head.scratch + at.keys),
        values_(head.scratch + at.values) {
    // Pairs of keys take half of their room, those of the values and of what is being packed too.
    pack_key_pairs(head.k, tokens - single_, head.head_dim, values_, keys_);
    pack_value_pairs(head.v, tokens, head.head_dim, values_);
  }
  /// `outs`, of which nothing is needed yet, takes the queries' pairs.
  void add_scores(std::int32_t first, std::int32_t rows, float* const* outs, float* const* scores) const {
    const std::int32_t depth = head_.head_dim / 2;
    for (std::int32_t r = 0; r < rows; ++r) round_whole_pairs(head_.q[first + r], head_.head_dim, head_.scale, outs[r]);
    for (std::int32_t column = 0; column < tokens_ - single_; column += kPairChannels) {
      const Panel panel{.b = keys_ + std::int64_t{column} * depth,
                        .b_stride = kPairChannels,
                        .c_offset = column,
                        .bias = nullptr,
                        .gamma = nullptr,
                        .accumulate = true};
      block_of_pairs(rows, tokens_ - single_ - column)(outs, 0, 1, depth, panel, scores, nullptr);
    }
    if (single_ == 0) return;
    add_single_products(head_.q + first, head_.k[tokens_ - 1], head_.head_dim, head_.scale, rows, tokens_ - 1, scores);
  }
  /// Rounds the scores in their place.
  void weigh_values(std::int32_t rows, float* const* scores, float* const* outs) const {
    const std::int32_t depth = (tokens_ + 1) / 2;
    const auto padded = static_cast<std::int32_t>(round_up(tokens_, kPairChannels));
    for (std::int32_t r = 0; r < rows; ++r) round_whole_pairs(scores[r], padded, 1.0f, scores[r]);
    for (std::int32_t column = 0; column < head_.head_dim; column += kPairChannels) {
      const Panel panel{.b = values_ + std::int64_t{column} * depth,
                        .b_stride = kPairChannels,
                        .c_offset = column,
                        .bias = nullptr,
                        .gamma = nullptr};
      block_of_pairs(rows, head_.head_dim - column)(scores, 0, 1, depth, panel, outs, nullptr);
    }
  }

 private:
  static GemmBlock block_of_pairs(std::int32_t rows, std::int32_t columns) {
    return gemm_pairs_block(rows, columns <= kPairChannels / kPanelVectors ? 1 : kPanelVectors);
  }

  const AttentionHead& head_;
  std::int32_t tokens_;
  std::int32_t single_;
  float* keys_;
  float* values_;
};

template <class Products>
void attention_of(const AttentionHead& head) {
  const FloatTag d;
  const PackedBias& bias = *head.bias;
  const std::int32_t tokens = bias.window_height * bias.window_width;
  const std::int32_t head_dim = head.head_dim;
  const Scratch at(tokens, head_dim);
  const Products products(head, tokens, at);
  const float* table = bias.tables.data() + head.head * bias.head_stride;

  float* outs[kTileRows];
  for (int r = 0; r < kTileRows; ++r) outs[r] = head.scratch + at.outs + r * at.out_stride;
  // The bias is written a block ahead: in other pieces than the product loads it, which just after would have to wait.
  std::int32_t prepared = 0;
  const auto row_of = [&](std::int32_t token)
                          HWY_ATTR { return head.scratch + at.scores + token % kScoreRows * at.score_stride; };
  for_each_row_block(tokens, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
    for (; prepared < std::min(tokens, first + rows + kTileRows); ++prepared) {
      fill_bias(bias, table, prepared, row_of(prepared));
    }
    float* scores[kTileRows];
    for (std::int32_t r = 0; r < rows; ++r) scores[r] = row_of(first + r);
    products.add_scores(first, rows, outs, scores);
    float reciprocals[kTileRows];
    softmax_numerators(scores, rows, tokens, reciprocals);
    products.weigh_values(rows, scores, outs);
    for (std::int32_t r = 0; r < rows; ++r) {
      const FloatVec reciprocal = hn::Set(d, reciprocals[r]);
      for_each_vector(d, head_dim, [&](std::int64_t c, auto part) HWY_ATTR {
        part.store(d, hn::Mul(part.load(d, outs[r] + c), reciprocal), head.out[first + r] + c);
      });
    }
  });
}

void attention_impl(const AttentionHead& head) {
  takes_pairs(head) ? attention_of<PairProducts>(head) : attention_of<FloatProducts>(head);
}

/// Where the parts of the backward's scratch lie; strides are the forward's.
struct BackwardScratch {
  BackwardScratch(std::int32_t tokens, std::int32_t head_dim) : forward(tokens, head_dim) {
    const std::int64_t by_token = forward.values - forward.keys;
    const std::int64_t by_channel = forward.scores - forward.values;
    const std::int64_t square = tokens * forward.score_stride;
    score_keys = 0;
    score_values = score_keys + by_token;
    keys = score_values + by_token;
    queries = keys + by_channel;
    values = queries + by_channel;
    out_gradients = values + by_channel;
    probabilities = out_gradients + by_channel;
    score_gradients = probabilities + square;
    outs = score_gradients + square;
    table = outs + kTileRows * forward.out_stride;
    // (2h - 1)(2w - 1) < 4hw, and what a last vector carries beyond it.
    size = round_up(table + std::int64_t{4} * tokens + static_cast<std::int64_t>(hn::Lanes(FloatTag())), 16);
  }
  Scratch forward;
  std::int64_t score_keys, score_values;  ///< panels over tokens
  std::int64_t keys, queries, values, out_gradients;  ///< panels over channels
  std::int64_t probabilities, score_gradients, outs, table, size;
};

std::int64_t attention_backward_scratch_size_impl(std::int32_t tokens, std::int32_t head_dim) {
  return BackwardScratch(tokens, head_dim).size;
}

/// From a row of numerators and the gradient by the probabilities that follow from it: the probabilities and the
/// gradient by the scores, p (g - sum p g), each in place.
void softmax_backward(float* scores, float sum_reciprocal, float* gradients, std::int32_t count) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  // Both rows are whole vectors, and beyond the last key numerators are zero; gradients are numbers, from zero panels.
  const std::int64_t padded = round_up(count, lanes);
  const FloatVec reciprocal = hn::Set(d, sum_reciprocal);
  FloatVec sum = hn::Zero(d);
  for (std::int64_t i = 0; i < padded; i += lanes) {
    const FloatVec probability = hn::Mul(hn::LoadU(d, scores + i), reciprocal);
    hn::StoreU(probability, d, scores + i);
    sum = hn::MulAdd(probability, hn::LoadU(d, gradients + i), sum);
  }
  const FloatVec mean = hn::Set(d, lane_sum(d, sum));
  for (std::int64_t i = 0; i < padded; i += lanes) {
    const FloatVec centred = hn::Sub(hn::LoadU(d, gradients + i), mean);
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + i), centred), d, gradients + i);
  }
}

/// Adds to each entry of a head's table the gradients of all scores that it is part of. In `reversed` the sums stand
/// with every row reversed, as in PackedBias: a query's scores with a row of keys lie side by side there too.
void bias_backward(const PackedBias& bias, const float* score_gradients, std::int64_t stride, float* reversed,
                   float* table) {
  const FloatTag d;
  const std::int32_t height = bias.window_height;
  const std::int32_t width = bias.window_width;
  const std::int64_t columns = 2 * width - 1;
  std::fill_n(reversed, (2 * height - 1) * columns + static_cast<std::int64_t>(hn::Lanes(d)), 0.0f);
  for (std::int32_t dy = 1 - height; dy < height; ++dy) {
    float* const row = reversed + (dy + height - 1) * columns;
    for (std::int32_t x = 0; x < width; ++x) {
      for_each_vector(d, width, [&](std::int64_t u, auto part) HWY_ATTR {
        // Queries (y, x) and keys (y - dy, u...). A whole vector may be read, as the rows of scores have one to spare.
        FloatVec sum = hn::Zero(d);
        for (std::int32_t y = std::max(0, dy); y < std::min(height, height + dy); ++y) {
          sum = hn::Add(sum, hn::LoadU(d, score_gradients + (y * width + x) * stride + (y - dy) * width + u));
        }
        float* at = row + width - 1 - x + u;
        hn::StoreU(hn::Add(hn::LoadU(d, at), part.keep(d, sum)), d, at);
      });
    }
    float* const to = table + (dy + height - 1) * columns;
    for (std::int64_t c = 0; c < columns; ++c) to[c] += row[columns - 1 - c];
  }
}

// With P = softmax(S), S = scale q k^T + bias: dv = P^T dout, dP = dout v^T, dS = P (dP - rowsum(P dP)),
// dq = scale dS k, dk = scale dS^T q; the bias has dS itself.
void attention_backward_impl(const AttentionHeadBackward& head) {
  const FloatTag d;
  const auto width = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(d));
  const PackedBias& bias = *head.bias;
  const std::int32_t tokens = bias.window_height * bias.window_width;
  const std::int32_t head_dim = head.head_dim;
  const BackwardScratch at(tokens, head_dim);
  const std::int64_t stride = at.forward.score_stride;
  float* const score_keys = head.scratch + at.score_keys;
  float* const score_values = head.scratch + at.score_values;
  float* const keys = head.scratch + at.keys;
  float* const queries = head.scratch + at.queries;
  float* const values = head.scratch + at.values;
  float* const out_gradients = head.scratch + at.out_gradients;
  float* const probabilities = head.scratch + at.probabilities;
  float* const score_gradients = head.scratch + at.score_gradients;
  pack_keys<true>(head.k, tokens, head_dim, head.scale, score_keys);
  pack_keys<true>(head.v, tokens, head_dim, 1.0f, score_values);
  pack_values(head.k, tokens, head_dim, head.scale, keys);
  pack_values(head.q, tokens, head_dim, head.scale, queries);
  if (head.out != nullptr) pack_values(head.v, tokens, head_dim, 1.0f, values);
  pack_values(head.out_gradient, tokens, head_dim, 1.0f, out_gradients);
  const float* table = bias.tables.data() + head.head * bias.head_stride;

  float* outs[kTileRows];
  for (int r = 0; r < kTileRows; ++r) outs[r] = head.scratch + at.outs + r * at.forward.out_stride;
  // Calls product(panel, columns) for every panel over channels of `b`, then hands the rows of `outs` out.
  const auto for_channels = [&](const float* b, float* const* results, std::int32_t rows, const auto& product)
                                HWY_ATTR {
                                  for (std::int32_t column = 0; column < head_dim; column += width) {
                                    product(Panel{.b = b + std::int64_t{column} * tokens,
                                                  .b_stride = width,
                                                  .c_offset = column,
                                                  .bias = nullptr,
                                                  .gamma = nullptr},
                                            head_dim - column);
                                  }
                                  for (std::int32_t r = 0; r < rows; ++r) {
                                    for_each_vector(d, head_dim, [&](std::int64_t c, auto part) HWY_ATTR {
                                      part.store(d, part.load(d, outs[r] + c), results[r] + c);
                                    });
                                  }
                                };
  for_each_row_block(tokens, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
    float* scores[kTileRows];
    float* gradients[kTileRows];
    for (std::int32_t r = 0; r < rows; ++r) {
      scores[r] = probabilities + (first + r) * stride;
      gradients[r] = score_gradients + (first + r) * stride;
    }
    for (std::int32_t r = 0; r < rows; ++r) fill_bias(bias, table, first + r, scores[r]);
    add_products(head.q + first, score_keys, head.k, tokens, head_dim, head.scale, rows, scores);
    for (std::int32_t column = 0; column < tokens; column += width) {
      const Panel panel{.b = score_values + std::int64_t{column} * head_dim,
                        .b_stride = width,
                        .c_offset = column,
                        .bias = nullptr,
                        .gamma = nullptr};
      block_for(rows, tokens - column)(head.out_gradient + first, 0, 1, head_dim, panel, gradients, nullptr);
    }
    float reciprocals[kTileRows];
    softmax_numerators(scores, rows, tokens, reciprocals);
    for (std::int32_t r = 0; r < rows; ++r) softmax_backward(scores[r], reciprocals[r], gradients[r], tokens);
    if (head.out != nullptr) {
      for_channels(values, head.out + first, rows, [&](const Panel& panel, std::int32_t columns) HWY_ATTR {
        block_for(rows, columns)(scores, 0, 1, tokens, panel, outs, nullptr);
      });
    }
    for_channels(keys, head.q_gradient + first, rows, [&](const Panel& panel, std::int32_t columns) HWY_ATTR {
      block_for(rows, columns)(gradients, 0, 1, tokens, panel, outs, nullptr);
    });
  });
  for_each_row_block(tokens, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
    for_channels(out_gradients, head.v_gradient + first, rows, [&](const Panel& panel, std::int32_t columns) HWY_ATTR {
      transposed_block_for(rows, columns)(probabilities + first, stride, tokens, panel, outs);
    });
    for_channels(queries, head.k_gradient + first, rows, [&](const Panel& panel, std::int32_t columns) HWY_ATTR {
      transposed_block_for(rows, columns)(score_gradients + first, stride, tokens, panel, outs);
    });
  });
  if (head.bias_gradient != nullptr) {
    bias_backward(bias, score_gradients, stride, head.scratch + at.table, head.bias_gradient);
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(attention_scratch_size_impl);
HWY_EXPORT(attention_impl);
HWY_EXPORT(attention_backward_scratch_size_impl);
HWY_EXPORT(attention_backward_impl);

std::int64_t attention_scratch_size(std::int32_t tokens, std::int32_t head_dim) {
  return HWY_DYNAMIC_DISPATCH(attention_scratch_size_impl)(tokens, head_dim);
}

void attention(const AttentionHead& head) { HWY_DYNAMIC_DISPATCH(attention_impl)(head); }

std::int64_t attention_backward_scratch_size(std::int32_t tokens, std::int32_t head_dim) {
  return HWY_DYNAMIC_DISPATCH(attention_backward_scratch_size_impl)(tokens, head_dim);
}

void attention_backward(const AttentionHeadBackward& head) { HWY_DYNAMIC_DISPATCH(attention_backward_impl)(head); }

PackedBias pack_bias(const float* table, std::int32_t window_height, std::int32_t window_width, std::int32_t heads) {
  const std::int64_t rows = 2 * window_height - 1;
  const std::int64_t columns = 2 * window_width - 1;
  // The kernel reads whole vectors: a vector's room behind each table.
  const std::int64_t stride = rows * columns + static_cast<std::int64_t>(kAlignment / sizeof(float));
  PackedBias packed{window_height, window_width, stride, AlignedBuffer(stride * heads)};
  std::fill_n(packed.tables.data(), packed.tables.size(), 0.0f);
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t y = 0; y < rows; ++y) {
      for (std::int64_t x = 0; x < columns; ++x) {
        packed.tables.data()[head * stride + y * columns + (columns - 1 - x)] = table[(y * columns + x) * heads + head];
      }
    }
  }
  return packed;
}

void unpack_bias(const PackedBias& packed, std::int32_t heads, float* table) {
  const std::int64_t rows = 2 * packed.window_height - 1;
  const std::int64_t columns = 2 * packed.window_width - 1;
  for (std::int64_t i = 0; i < rows * columns * heads; ++i) {
    const std::int64_t place = i / heads;
    const std::int64_t head = i % heads;
    const std::int64_t mirrored = place / columns * columns + (columns - 1 - place % columns);
    table[i] = packed.tables.data()[head * packed.head_stride + mirrored];
  }
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
