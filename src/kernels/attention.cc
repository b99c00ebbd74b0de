// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/attention-inl.h"
#include "kernels/bf16_pairs.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

/// What pairs of bfloat16 want head_dim to be a multiple of: a panel's width of the only target that has them.
constexpr std::int32_t kPairChannels = 32;
/// Keys that are packed as pairs at once, whole panels.
constexpr std::int32_t kMostKeysAtOnce = 64;

std::int64_t attention_scratch_size_impl(std::int32_t tokens, std::int32_t head_dim) {
  return Scratch(tokens, head_dim).size;
}

/// Whether the products of a head are of pairs of bfloat16.
bool takes_pairs(const AttentionHead& head) {
  return HWY_TARGET == HWY_AVX3 && head.precision == Precision::kBf16 && head.head_dim % kPairChannels == 0 &&
         has_bf16_pairs();
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
    multiply_panels(scores, values_, tokens_, head_.head_dim, rows, outs, Into::kPlace, block_for);
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
    multiply_panels(outs, keys_, depth, tokens_ - single_, rows, scores, Into::kSum, block_of_pairs);
    if (single_ == 0) return;
    add_single_products(head_.q + first, head_.k[tokens_ - 1], head_.head_dim, head_.scale, rows, tokens_ - 1, scores);
  }
  /// Rounds the scores in their place.
  void weigh_values(std::int32_t rows, float* const* scores, float* const* outs) const {
    const std::int32_t depth = (tokens_ + 1) / 2;
    const auto padded = static_cast<std::int32_t>(round_up(tokens_, kPairChannels));
    for (std::int32_t r = 0; r < rows; ++r) round_whole_pairs(scores[r], padded, 1.0f, scores[r]);
    multiply_panels(scores, values_, depth, head_.head_dim, rows, outs, Into::kPlace, block_of_pairs);
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

// With P = softmax(S), S = scale q k^T + bias: dv = P^T dout, dP = dout v^T, dS = P (dP - rowsum(P dP)),
// dq = scale dS k, dk = scale dS^T q; the bias has dS itself.
}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(attention_scratch_size_impl);
HWY_EXPORT(attention_impl);

std::int64_t attention_scratch_size(std::int32_t tokens, std::int32_t head_dim) {
  return HWY_DYNAMIC_DISPATCH(attention_scratch_size_impl)(tokens, head_dim);
}

void attention(const AttentionHead& head) { HWY_DYNAMIC_DISPATCH(attention_impl)(head); }

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
