// SPDX-License-Identifier: Apache-2.0
// softmax(scale * q k^T + bias) v for one head of one window, and its gradients.
#pragma once

#include <cstdint>

#include "kernels/aligned_buffer.h"
#include "kernels/gemm.h"

namespace gcvit::kernels {

/// Relative position bias, made ready for the kernel: for each head its table [(2h-1)][(2w-1)] with every row
/// reversed, so that the biases of one query to one row of keys lie side by side in key order.
struct PackedBias {
  std::int32_t window_height = 0;
  std::int32_t window_width = 0;
  std::int64_t head_stride = 0;
  AlignedBuffer tables;
};

/// Packs `table` [(2h-1)(2w-1)][heads].
PackedBias pack_bias(const float* table, std::int32_t window_height, std::int32_t window_width, std::int32_t heads);
/// The `table` that was packed.
void unpack_bias(const PackedBias& packed, std::int32_t heads, float* table);

struct AttentionHead {
  const float* const* q;  ///< [tokens] rows of head_dim floats
  const float* const* k;  ///< [tokens]
  const float* const* v;  ///< [tokens]
  float* const* out;      ///< [tokens]; no row may lie in q, k or v
  const PackedBias* bias;
  std::int32_t head;
  std::int32_t head_dim;
  float scale;     ///< 1 / sqrt(head_dim)
  float* scratch;  ///< attention_scratch_size() floats, 64-byte aligned
  /// kBf16: what both products multiply is rounded to bfloat16, where the CPU multiplies such pairs and head_dim is a
  /// multiple of 32, as it is in all published models.
  Precision precision = Precision::kF32;
};

/// Floats of scratch that one head needs; a multiple of 16.
std::int64_t attention_scratch_size(std::int32_t tokens, std::int32_t head_dim);

void attention(const AttentionHead& head);

/// The scores and their softmax are computed again; nothing of the forward is needed but its inputs.
struct AttentionHeadBackward {
  const float* const* q;  ///< [tokens] rows of head_dim floats
  const float* const* k;  ///< [tokens]
  const float* const* v;  ///< [tokens]
  const float* const* out_gradient;  ///< [tokens]: the loss's gradient by the forward's `out`
  float* const* q_gradient;  ///< [tokens], written; no row of a gradient may lie in q, k, v or out_gradient
  float* const* k_gradient;  ///< [tokens], written
  float* const* v_gradient;  ///< [tokens], written
  float* const* out = nullptr;  ///< [tokens], written: the forward's `out`; null when nobody needs it again
  const PackedBias* bias;
  float* bias_gradient;  ///< [(2h-1)][(2w-1)] in the plain table's order, this head's alone, added; null for none
  std::int32_t head;
  std::int32_t head_dim;
  float scale;  ///< 1 / sqrt(head_dim)
  float* scratch;  ///< attention_backward_scratch_size() floats, 64-byte aligned
};

/// Floats of scratch that one head's backward needs; a multiple of 16.
std::int64_t attention_backward_scratch_size(std::int32_t tokens, std::int32_t head_dim);

void attention_backward(const AttentionHeadBackward& head);

}  // namespace gcvit::kernels
