// SPDX-License-Identifier: Apache-2.0
// Register blocks whose operands are pairs of bfloat16, each pair in the place of a float: AVX512_BF16's instruction
// multiplies both and adds them to a float's sum, twice the multiply-adds of a float's. Highway 1.0.3 has no target
// with it, so these are compiled by themselves.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/panel.h"
#include "base/half.h"

namespace gcvit::kernels {

/// The pair of two floats, `even` in the lower half of the bits.
inline float pair_of(float even, float odd) {
  return std::bit_cast<float>(std::uint32_t{bf16_from_f32(odd)} << 16 | bf16_from_f32(even));
}

/// One of the two floats, the odd one or the even.
inline float half_of_pair(float pair, bool odd) {
  const auto bits = std::bit_cast<std::uint32_t>(pair);
  return f32_from_bf16(static_cast<std::uint16_t>(odd ? bits >> 16 : bits));
}

/// Whether this CPU and compiler have them. They go with the target AVX3 alone, whose panels are two vectors of 16.
bool has_bf16_pairs();

/// Rounds the first whole panels' widths of `k` floats, times scale, to pairs of neighbours, and returns how many floats
/// that were; `to` may be `from`. Only where has_bf16_pairs().
std::int32_t round_whole_pairs(const float* from, std::int32_t k, float scale, float* to);
/// Rounds `count` floats, a multiple of 16, of two rows to pairs of one of each; an `odd` row that is null is zeros.
void pair_rows(const float* even, const float* odd, std::int32_t count, float* to);

/// The blocks for 1 to 12 rows and 1 or 2 vectors; `k` counts pairs. Only where has_bf16_pairs().
GemmBlock gemm_pairs_block(std::int32_t rows, std::int32_t vectors);
TransposedBlock transposed_pairs_block(std::int32_t rows, std::int32_t vectors);

}  // namespace gcvit::kernels
