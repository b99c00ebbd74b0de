// SPDX-License-Identifier: Apache-2.0
#include "native/tiles.h"

#include <algorithm>

namespace gcvit::native {

RowTiles::RowTiles(std::int64_t count, std::int64_t limit, int threads)
    : count_(count), tiles_((count + limit - 1) / limit) {
  if (tiles_ < 8 * threads) tiles_ = (tiles_ + threads - 1) / threads * threads;
  tiles_ = std::clamp<std::int64_t>(tiles_, 1, std::max<std::int64_t>(count, 1));
}

PanelChunks::PanelChunks(std::int32_t panels, std::int64_t row_tiles, int threads) : panels_(panels) {
  // Enough tasks for every thread to have a few; columns are only cut where rows don't give them.
  const std::int64_t wanted = threads == 1 ? 1 : (3 * threads + row_tiles - 1) / row_tiles;
  chunks_ = static_cast<std::int32_t>(std::clamp<std::int64_t>(wanted, 1, panels));
}

}  // namespace gcvit::native
