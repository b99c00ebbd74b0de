// SPDX-License-Identifier: Apache-2.0
// Register blocks of the int8 product. Those whose operands are quads of bytes are compiled by themselves, as Highway 1.0.3
// has no target with the instruction for them: AVX512_VNNI's and AVX-VNNI's vpdpbusd multiplies four unsigned bytes by four
// signed ones and adds all four products to an int32, without saturation.
#pragma once

#include <cstdint>
#include <cstring>

namespace gcvit::kernels {

/// How a block's sums end in C: c = sum * (row's scale * column's scale) + bias, and of a residual that, times gamma, added.
struct I8Ends {
  const float* row_scales;  ///< of the block's first row
  std::int64_t row_scale_stride;
  const float* scales;  ///< these three of the panel's first column on
  const float* bias;
  const float* gamma;  ///< or null
  float* const* c;  ///< [rows]
  const float* const* residual;  ///< [rows], or null
  std::int64_t c_offset;  ///< of the panel's first column in the rows of c and residual
};

/// What one block multiplies: rows of A, of which a word of 32 bits holds one step's numbers, by one panel of B.
struct I8Operands {
  const unsigned char* a;
  std::int64_t a_stride;  ///< bytes between rows
  const std::int8_t* b;  ///< [steps][b_stride]
  std::int64_t b_stride;  ///< bytes of a step: a panel's width times the numbers of a word
  std::int32_t steps;
  const std::int32_t* start;  ///< a panel's width of them, what the sums begin with; quads alone read it
  std::int32_t* sums;  ///< [rows][sums_stride]
  std::int64_t sums_stride;
  const I8Ends* ends = nullptr;  ///< where the sums of whole vectors go instead; quads alone read it
};

/// The word of step `i` in a row of A.
inline std::int32_t word_at(const unsigned char* row, std::int64_t i) {
  std::int32_t word;
  std::memcpy(&word, row + i * static_cast<std::int64_t>(sizeof word), sizeof word);
  return word;
}

/// sums = start + A B for some rows and vectors of columns: integers, exact in any order.
using I8Block = void (*)(const I8Operands& operands);

/// The block of quads for `rows` and `vectors` (1, 2) of `lanes` columns: 1 to 12 rows of 16 lanes, or 1 to 6 of 8. Null
/// where this CPU has none.
I8Block i8_quads_block(std::int32_t lanes, std::int32_t rows, std::int32_t vectors);

inline bool has_i8_quads(std::int32_t lanes) { return i8_quads_block(lanes, 1, 1) != nullptr; }

/// Whether the CPU and target round rows by `round_row_to_quads`, to the same bytes as quantise-inl.h.
bool rounds_to_quads(std::int32_t lanes, std::int64_t k);
/// Rounds a row that lies in `count` pieces of k floats, pieces[0], pieces[stride], ..., as a whole to bytes that are 128
/// above the integers. Returns what these are multiplied by.
float round_row_to_quads(const float* const* pieces, std::int64_t stride, std::int64_t count, std::int64_t k,
                         unsigned char* to);

/// Takes these blocks instead, on every target, so that tests can try on any CPU what is around them, or (blocks that are
/// all null) what stands behind them; null brings back the CPU's own. Weights that are packed keep their form.
void replace_i8_quads(I8Block (*blocks)(std::int32_t lanes, std::int32_t rows, std::int32_t vectors));

}  // namespace gcvit::kernels
