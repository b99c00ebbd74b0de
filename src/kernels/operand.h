// SPDX-License-Identifier: Apache-2.0
// Rows of A of a dense product, rounded to what its weights want, apart from the product: several products that share
// rows, as the heads of a window do, round them once.
#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace gcvit::kernels {

/// Floats, or the room of as many, from row to row of an operand; 0 where products with these weights read floats as they
/// are. Int8 rows end in their scale.
std::int64_t operand_stride(const PackedWeights& weights);

/// Floats that an operand of `count` rows takes; matrix tiles read whole blocks of rows.
std::int64_t operand_size(const PackedWeights& weights, std::int64_t count);

/// Rounds rows `a` [taps][count] of k floats to operand [count][operand_stride()]: to bfloat16 each float by itself, to
/// int8 each row, over all of its taps, by a scale of its own. Only where there is a stride.
void round_operand(const PackedWeights& weights, const float* const* a, std::int64_t count, float* operand);

}  // namespace gcvit::kernels
