// SPDX-License-Identifier: Apache-2.0
// How rows and column panels are cut into tasks. It decides the schedule, never a result.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gcvit::native {

/// Cuts `count` rows into tiles of at most `limit`, their sizes differing by one at most; when they are few, their
/// number is a multiple of the threads. Which tiles there are changes the schedule, never a result.
class RowTiles {
 public:
  RowTiles(std::int64_t count, std::int64_t limit, int threads);
  std::int64_t size() const { return tiles_; }
  std::int64_t first(std::int64_t tile) const { return tile * (count_ / tiles_) + std::min(tile, count_ % tiles_); }
  std::int64_t rows(std::int64_t tile) const { return count_ / tiles_ + (tile < count_ % tiles_ ? 1 : 0); }
  std::int64_t most_rows() const { return (count_ + tiles_ - 1) / tiles_; }

 private:
  std::int64_t count_;
  std::int64_t tiles_;
};

/// Cuts a layer's column panels into chunks where its row tiles alone don't occupy the threads.
class PanelChunks {
 public:
  PanelChunks(std::int32_t panels, std::int64_t row_tiles, int threads);
  std::int64_t size() const { return chunks_; }
  std::int32_t first(std::int32_t chunk) const {
    return static_cast<std::int32_t>(std::int64_t{panels_} * chunk / chunks_);
  }
  std::int32_t last(std::int32_t chunk) const { return first(chunk + 1); }

 private:
  std::int32_t panels_;
  std::int32_t chunks_;
};

/// Rows of a linear layer's tile: while they wait in L2 for the panels to come by, these are used so often that it doesn't
/// matter where they come from. A multiple of the microkernel's rows.
inline std::int64_t linear_tile_rows(std::int64_t k) { return k <= 256 ? 96 : 48; }

/// Rows of a tile: an image of the last level at 224 (49 positions) is one, and what a tile of the widest published
/// tiny models keeps stays within 512 KB of L2.
inline constexpr std::int64_t kTileRows = 50;

}  // namespace gcvit::native
