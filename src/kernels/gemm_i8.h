// SPDX-License-Identifier: Apache-2.0
// Int8 weights for the dense product of gemm.h: w = q * scale, with q in [-127, 127] and one scale a column.
//
// `gemm` rounds each row of A likewise, over all of its taps: with m its largest magnitude, scale = m / 127 and q the
// nearest integer, ties to even, of a * (127 / m). Products of both are summed as integers, exactly, so a sum is the same on
// every CPU, and C = epilogue(sum * (row's scale * column's scale) + bias). A row that holds an infinity or a NaN gives NaN
// in every column; one whose magnitudes are all below 2^-100 counts as zeros.
#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace gcvit::kernels {

/// Packs `q` [columns][taps * k] with `scales` and `bias` (or null) [columns]. Throws `Error` when taps * k is over 2^16,
/// where a sum could leave an int32.
PackedWeights pack_i8_weights(const std::int8_t* q, const float* scales, const float* bias, std::int32_t columns,
                              std::int32_t taps, std::int32_t k);

/// `pack_i8_weights` in two steps, as `allocate` and `pack_panels` are.
void allocate_i8(const float* scales, const float* bias, std::int32_t columns, std::int32_t taps, std::int32_t k,
                 PackedWeights& packed, Arena* arena = nullptr);
void pack_i8_panels(const std::int8_t* q, PackedWeights& packed, std::int32_t first_panel, std::int32_t last_panel);

/// The `q` [columns][taps * k] that were packed.
void unpack_i8_weights(const PackedWeights& packed, std::int8_t* q);

/// What `gemm` and `PackedWeights::panel_stride` are for int8 weights.
void gemm_i8(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue, std::int32_t first_panel,
             std::int32_t last_panel);
std::int64_t i8_panel_stride(const PackedWeights& weights);

}  // namespace gcvit::kernels
