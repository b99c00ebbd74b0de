// SPDX-License-Identifier: Apache-2.0
// The 3x3 convolution of stride 2 as a dense product without a gather: three taps, one a row of the kernel, each three
// neighbouring pixels that already lie side by side in the map. Only the first column, whose left pixel is padding,
// reads from a small copy.
#include "native/state.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

Value NativeBackend::convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) {
  const Shape shape = ops::convolution3x3_stride2_shape(x.shape(), convolution);
  const Value y = state_->make_value(*this, shape);
  const kernels::PackedWeights& weights = state_->parameters.convolution(convolution);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());

  const Shape map = x.shape();
  const std::int64_t channels = map.channels;
  const std::int64_t row_stride = map.width * channels;
  // A tile is some whole output rows of one image.
  const std::int64_t rows_per_tile = std::clamp<std::int64_t>(kTileRows / shape.width, 1, shape.height);
  const std::int64_t tiles_per_image = (shape.height + rows_per_tile - 1) / rows_per_tile;
  const std::int64_t tiles = state_->batch * tiles_per_image;
  const PanelChunks chunks(kernels::panel_count(weights.columns), tiles, state_->pool.size());
  const std::int64_t border_floats = Scratch::rounded(3 * channels);
  const std::int64_t positions = rows_per_tile * shape.width;

  state_->parallel_for(tiles * chunks.size(), (1 + 3 * rows_per_tile) * border_floats, 4 * positions,
                       [&](std::int64_t index, Scratch& scratch) {
                         const std::int64_t tile = index / chunks.size();
                         const auto chunk = static_cast<std::int32_t>(index % chunks.size());
                         const std::int64_t image = tile / tiles_per_image;
                         const std::int64_t first_row = tile % tiles_per_image * rows_per_tile;
                         const std::int64_t rows = std::min(rows_per_tile, shape.height - first_row);
                         const std::int64_t count = rows * shape.width;
                         const float* image_map = from + image * map.size();
                         float* image_out = to + image * shape.size();

                         float* zeros = scratch.floats(3 * channels);
                         std::fill_n(zeros, 3 * channels, 0.0f);
                         const float** a = scratch.pointers(3 * count);
                         float** c = scratch.mutable_pointers(count);
                         for (std::int64_t row = 0; row < rows; ++row) {
                           for (std::int64_t tap = 0; tap < 3; ++tap) {
                             const float** pointers = a + tap * count + row * shape.width;
                             const std::int64_t map_row = 2 * (first_row + row) + tap - 1;
                             if (map_row < 0) {
                               std::fill_n(pointers, shape.width, zeros);
                               continue;
                             }
                             const float* at = image_map + map_row * row_stride;
                             float* border = scratch.floats(3 * channels);
                             std::fill_n(border, channels, 0.0f);
                             std::copy_n(at, 2 * channels, border + channels);
                             pointers[0] = border;
                             for (std::int64_t column = 1; column < shape.width; ++column) {
                               pointers[column] = at + (2 * column - 1) * channels;
                             }
                           }
                           for (std::int64_t column = 0; column < shape.width; ++column) {
                             c[row * shape.width + column] =
                                 image_out + ((first_row + row) * shape.width + column) * shape.channels;
                           }
                         }
                         kernels::gemm(weights, {.a = a, .c = c, .count = static_cast<std::int32_t>(count)}, {},
                                       chunks.first(chunk), chunks.last(chunk));
                       });
  return y;
}

}  // namespace gcvit::native
