// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_backward.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

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
    multiply_panels(head.out_gradient + first, score_values, head_dim, tokens, rows, gradients, Into::kPlace,
                    block_for);
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

HWY_EXPORT(attention_backward_scratch_size_impl);
HWY_EXPORT(attention_backward_impl);

std::int64_t attention_backward_scratch_size(std::int32_t tokens, std::int32_t head_dim) {
  return HWY_DYNAMIC_DISPATCH(attention_backward_scratch_size_impl)(tokens, head_dim);
}

void attention_backward(const AttentionHeadBackward& head) { HWY_DYNAMIC_DISPATCH(attention_backward_impl)(head); }

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
