// SPDX-License-Identifier: Apache-2.0
// Bicubic resizing as PyTorch's interpolate(mode="bicubic", align_corners=False) does it: Keys' kernel with a = -0.75,
// half-pixel centres, no antialiasing, the edge repeated beyond the border. What global queries and relative position
// bias tables are resized by; photos are resized by the filters of image/.
#pragma once

#include <array>
#include <cstdint>

namespace gcvit {

/// What one position of a resized axis is made of.
struct BicubicTaps {
  std::array<std::int32_t, 4> positions;  ///< on the axis before, each within it
  std::array<float, 4> weights;           ///< their sum is 1
};

/// Of position `index` of an axis resized from `from` positions to `to`; both are positive.
BicubicTaps bicubic_taps(std::int32_t index, std::int32_t from, std::int32_t to);

/// The sides of a map before and after, and how many values each position has.
struct BicubicResize {
  std::int32_t height, width;
  std::int32_t new_height, new_width;
  std::int32_t channels;
};

/// Row `row` of the resized map: `map` is height x width x channels, `out` takes new_width x channels. Each output adds
/// its 16 terms in one order.
void resize_bicubic_row(const float* map, const BicubicResize& resize, std::int32_t row, float* out);

/// Its backward: adds what `out_gradient` (new_width x channels, of row `row`) means for the map, to `map_gradient`.
void resize_bicubic_row_backward(const float* out_gradient, const BicubicResize& resize, std::int32_t row,
                                 float* map_gradient);

}  // namespace gcvit
