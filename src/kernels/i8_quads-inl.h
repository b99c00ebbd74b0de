// SPDX-License-Identifier: Apache-2.0
// The block of quads, for inclusion once for each set of instructions. Before it the includer defines
// GCVIT_I8_QUADS_NAMESPACE, where it goes, and GCVIT_I8_QUADS_ATTRIBUTES, what it is compiled with; both end here.
//
// `Ops` has kLanes, Vec (that many int32), load, set (a word in every lane), store, and multiply_add(sums, a, b): to each
// sum the four products of a's unsigned and b's signed bytes.
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/i8_quads.h"

namespace gcvit::kernels::GCVIT_I8_QUADS_NAMESPACE {

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
