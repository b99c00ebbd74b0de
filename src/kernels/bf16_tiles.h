// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 by AMX, Intel's matrix tiles: 16 rows of 16 pairs times 16 pairs of 16 columns at once.
#pragma once

#include <cstdint>

namespace gcvit::kernels {

/// Rows and columns of the blocks that `multiply_tiles` computes, and what a depth is a multiple of.
inline constexpr std::int32_t kTileBlock = 32;
inline constexpr std::int32_t kTileDepth = 16;

/// Whether this CPU has them and the system lets this process use them.
bool has_bf16_tiles();
/// False leaves them out for the rest of the process, so that tests can try what stands behind them.
void allow_bf16_tiles(bool allowed);

/// While it lives this thread's tiles are set up. Only where has_bf16_tiles().
class TileScope {
 public:
  TileScope();
  ~TileScope();
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

/// Where `rows` (1..32) rows of A and 16 * `vectors` (1, 2) columns of B lie, all of bfloat16 pairs.
struct TileOperands {
  const float* a;  ///< [taps][rows][depth]; what lies behind the last row, up to a multiple of 16 rows, is read
  std::int64_t a_stride;  ///< pairs between rows
  std::int64_t a_tap_stride;  ///< pairs between taps
  const float* b;  ///< [taps * depth][b_stride]
  std::int64_t b_stride;
  std::int32_t taps;
  std::int32_t depth;  ///< a multiple of kTileDepth
  std::int32_t rows;
  std::int32_t vectors;
};

/// sums[row * kTileBlock + column] = the sum over taps and depth of a * b.
void multiply_tiles(const TileOperands& operands, float* sums);

/// to[j * to_stride + i] = from[i * 16 + j] for 16 x 16 pairs.
void transpose_pairs(const float* from, float* to, std::int64_t to_stride);

}  // namespace gcvit::kernels
