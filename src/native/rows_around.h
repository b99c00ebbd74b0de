// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/rows.h"
#include "ops/value.h"

namespace gcvit::native {

/// The rows above, at and below row `y` of the map that begins at `map`; null outside it.
inline kernels::RowTriple rows_around(const float* map, const ops::Shape& shape, std::int32_t y) {
  const std::int64_t stride = std::int64_t{shape.width} * shape.channels;
  const float* middle = map + y * stride;
  return {y > 0 ? middle - stride : nullptr, middle, y + 1 < shape.height ? middle + stride : nullptr};
}

}  // namespace gcvit::native
