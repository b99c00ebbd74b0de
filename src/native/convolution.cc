// SPDX-License-Identifier: Apache-2.0
// The 3x3 convolution of stride 2 as a dense product without a gather: three taps, one a row of the kernel, each three
// neighbouring pixels that already lie side by side in the map. Only the first column, whose left pixel is padding,
// reads from a small copy.
#include <algorithm>
#include <vector>

#include "native/state.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

namespace {

/// The sum over output positions of their gradient times the three pixels that each tap reads.
void add_parameter_gradients(NativeBackend::State& state, const Value& x, const ops::Conv3x3& convolution,
                             const Value& gradient) {
  const Shape map = x.shape();
  const Shape shape = gradient.shape();
  const std::int64_t in = map.channels;
  const std::int64_t out = shape.channels;
  const float* dy = state.data(gradient);
  if (state.trains(convolution.bias)) {
    state.add_row_sums(dy, state.batch * shape.positions(), out, state.gradient_of(*convolution.bias));
  }
  if (!state.trains(convolution.weight)) return;

  const std::int64_t rows = state.batch * shape.height;
  std::vector<const float*>& dy_rows = state.gradient_rows;
  dy_rows.resize(static_cast<std::size_t>(rows * shape.width));
  for (std::size_t i = 0; i < dy_rows.size(); ++i) dy_rows[i] = dy + static_cast<std::int64_t>(i) * out;
  // As in the forward, only the first column needs copies.
  std::vector<float> borders(static_cast<std::size_t>(rows * 3 * in));
  const std::vector<float> zeros(static_cast<std::size_t>(3 * in));
  std::vector<const float*>& x_rows = state.input_rows;
  x_rows.resize(dy_rows.size());
  float* const by_pixel = state.partial_sums(out * 9 * in);
  state.fill_zero(by_pixel, out * 9 * in);
  for (std::int64_t tap = 0; tap < 3; ++tap) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const float** pointers = x_rows.data() + row * shape.width;
      const std::int64_t map_row = 2 * (row % shape.height) + tap - 1;
      if (map_row < 0) {
        std::fill_n(pointers, shape.width, zeros.data());
        continue;
      }
      const float* at = state.data(x) + row / shape.height * map.size() + map_row * map.width * in;
      float* border = borders.data() + row * 3 * in;
      std::copy_n(at, 2 * in, border + in);
      pointers[0] = border;
      for (std::int64_t column = 1; column < shape.width; ++column) pointers[column] = at + (2 * column - 1) * in;
    }
    state.add_weight_gradient(dy_rows, x_rows, static_cast<std::int32_t>(out), static_cast<std::int32_t>(3 * in),
                              by_pixel + tap * 3 * in, 9 * in);
  }
  // [out][9][in] -> [out][in][9]
  float* to = state.gradient_of(convolution.weight);
  state.pool.parallel_for(out, [&](std::int64_t o, int) {
    for (std::int64_t pixel = 0; pixel < 9; ++pixel) {
      const float* from = by_pixel + (o * 9 + pixel) * in;
      for (std::int64_t i = 0; i < in; ++i) to[(o * in + i) * 9 + pixel] += from[i];
    }
  });
}

/// An input position in an even row took part in one output row, by the kernel's middle row; one in an odd row in two,
/// by the kernel's last row in the output above and by its first in the one below; columns likewise. So each of the
/// four kinds of positions is a dense product of its own, with one, two or four taps, again without a gather.
Value input_gradient(NativeBackend& backend, NativeBackend::State& state, const Shape& map,
                     const ops::Conv3x3& convolution, const Value& gradient) {
  const Shape shape = gradient.shape();
  const Value dx = state.make_value(backend, map);
  const float* dy = state.data(gradient);
  float* to = state.values.data(dx.id());
  const std::vector<float> zeros(static_cast<std::size_t>(shape.channels));
  for (const bool odd_row : {false, true}) {
    for (const bool odd_column : {false, true}) {
      const kernels::PackedWeights& weights = state.parameters.convolution_transposed(convolution, odd_row, odd_column);
      const std::int64_t row_taps = odd_row ? 2 : 1;
      const std::int64_t column_taps = odd_column ? 2 : 1;
      const std::int64_t rows_per_tile = std::clamp<std::int64_t>(kTileRows / shape.width, 1, shape.height);
      const std::int64_t tiles_per_image = (shape.height + rows_per_tile - 1) / rows_per_tile;
      const std::int64_t tiles = state.batch * tiles_per_image;
      const PanelChunks chunks(kernels::panel_count(weights.columns), tiles, state.pool.size());
      const std::int64_t positions = rows_per_tile * shape.width;
      state.parallel_for(
          tiles * chunks.size(), 0, (1 + row_taps * column_taps) * positions,
          [&](std::int64_t index, Scratch& scratch) {
            const std::int64_t tile = index / chunks.size();
            const auto chunk = static_cast<std::int32_t>(index % chunks.size());
            const std::int64_t image = tile / tiles_per_image;
            const std::int64_t first_row = tile % tiles_per_image * rows_per_tile;
            const std::int64_t rows = std::min(rows_per_tile, shape.height - first_row);
            const std::int64_t count = rows * shape.width;
            const float** a = scratch.pointers(row_taps * column_taps * count);
            float** c = scratch.mutable_pointers(count);
            std::int64_t filled = 0;
            for (std::int64_t row_tap = 0; row_tap < row_taps; ++row_tap) {
              for (std::int64_t column_tap = 0; column_tap < column_taps; ++column_tap) {
                for (std::int64_t row = first_row; row < first_row + rows; ++row) {
                  for (std::int64_t column = 0; column < shape.width; ++column) {
                    const std::int64_t y = row + row_tap;
                    const std::int64_t x = column + column_tap;
                    const bool inside = y < shape.height && x < shape.width;
                    a[filled++] =
                        inside ? dy + image * shape.size() + (y * shape.width + x) * shape.channels : zeros.data();
                  }
                }
              }
            }
            for (std::int64_t row = 0; row < rows; ++row) {
              for (std::int64_t column = 0; column < shape.width; ++column) {
                const std::int64_t y = 2 * (first_row + row) + (odd_row ? 1 : 0);
                const std::int64_t x = 2 * column + (odd_column ? 1 : 0);
                c[row * shape.width + column] = to + image * map.size() + (y * map.width + x) * map.channels;
              }
            }
            kernels::gemm(weights, {.a = a, .c = c, .count = static_cast<std::int32_t>(count)}, {}, chunks.first(chunk),
                          chunks.last(chunk));
          });
    }
  }
  return dx;
}

}  // namespace

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
  const bool trains = state_->trains(convolution.weight) || state_->trains(convolution.bias);
  if (state_->tape.recording() && (trains || state_->needs_gradient(x))) {
    state_->record(y, [this, x, x_node = state_->needs_gradient(x) ? state_->node(x) : -1, &convolution,
                       trains](const Value& gradient) {
      if (trains) add_parameter_gradients(*state_, x, convolution, gradient);
      if (x_node >= 0) state_->add_gradient(x_node, input_gradient(*this, *state_, x.shape(), convolution, gradient));
    });
  }
  return y;
}

}  // namespace gcvit::native
