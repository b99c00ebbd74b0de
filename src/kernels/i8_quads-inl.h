// SPDX-License-Identifier: Apache-2.0
// The block of quads, for inclusion once for each set of instructions. Before it the includer defines
// GCVIT_I8_QUADS_NAMESPACE, where it goes, and what it is compiled with: GCVIT_I8_QUADS_ATTRIBUTES, and
// GCVIT_I8_QUADS_INLINE for parts of it. All end here.
//
// `Ops` has kLanes, Vec (that many int32), load, set (a word in every lane), store, and multiply_add(sums, a, b): to each
// sum the four products of a's unsigned and b's signed bytes. And Float (that many floats), to_float, load_float,
// set_float, store_float, multiply and a fused multiply_add_float(a, b, c): a b + c.
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/i8_quads.h"

namespace gcvit::kernels::GCVIT_I8_QUADS_NAMESPACE {

template <class Ops, int kRows, int kVectors>
GCVIT_I8_QUADS_INLINE void end_in_c(const typename Ops::Vec (&sums)[kRows][kVectors], const I8Ends& ends) {
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t column = v * Ops::kLanes;
    const std::int64_t at = ends.c_offset + column;
    const typename Ops::Float scale = Ops::load_float(ends.scales + column);
    const typename Ops::Float bias = Ops::load_float(ends.bias + column);
    const typename Ops::Float gamma =
        ends.gamma != nullptr ? Ops::load_float(ends.gamma + column) : Ops::set_float(1.0f);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const typename Ops::Float factor =
          Ops::multiply(Ops::set_float(ends.row_scales[r * ends.row_scale_stride]), scale);
      typename Ops::Float end = Ops::multiply_add_float(Ops::to_float(sums[r][v]), factor, bias);
      if (ends.residual != nullptr) {
        end = Ops::multiply_add_float(gamma, end, Ops::load_float(ends.residual[r] + at));
      }
      Ops::store_float(end, ends.c[r] + at);
    }
  }
}

template <class Ops, int kRows, int kVectors>
GCVIT_I8_QUADS_ATTRIBUTES void multiply_quads(const I8Operands& operands) {
  typename Ops::Vec sums[kRows][kVectors];
  const unsigned char* rows[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    rows[r] = operands.a + r * operands.a_stride;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = Ops::load(operands.start + v * Ops::kLanes);
  }
  const std::int8_t* b = operands.b;
  for (std::int32_t i = 0; i < operands.steps; ++i, b += operands.b_stride) {
    typename Ops::Vec columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) columns[v] = Ops::load(b + v * Ops::kLanes * 4);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const typename Ops::Vec quad = Ops::set(word_at(rows[r], i));
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Ops::multiply_add(sums[r][v], quad, columns[v]);
    }
  }
  if (operands.ends != nullptr) return end_in_c<Ops>(sums, *operands.ends);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      Ops::store(sums[r][v], operands.sums + r * operands.sums_stride + v * Ops::kLanes);
    }
  }
}

/// Blocks of 1 to kRows rows.
template <class Ops, int kVectors, std::size_t... kRows>
constexpr std::array<I8Block, sizeof...(kRows)> quads_row_counts(std::index_sequence<kRows...>) {
  return {multiply_quads<Ops, static_cast<int>(kRows) + 1, kVectors>...};
}

template <class Ops, int kMostRows>
I8Block quads_block(std::int32_t rows, std::int32_t vectors) {
  constexpr auto kRows = std::make_index_sequence<kMostRows>();
  static constexpr std::array kBlocks = {quads_row_counts<Ops, 1>(kRows), quads_row_counts<Ops, 2>(kRows)};
  return kBlocks[static_cast<std::size_t>(vectors - 1)][static_cast<std::size_t>(rows - 1)];
}

}  // namespace gcvit::kernels::GCVIT_I8_QUADS_NAMESPACE

#undef GCVIT_I8_QUADS_NAMESPACE
#undef GCVIT_I8_QUADS_ATTRIBUTES
#undef GCVIT_I8_QUADS_INLINE
