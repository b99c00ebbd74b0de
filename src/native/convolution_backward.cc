// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/convolution.h"
#include "native/state.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

// The sum over output positions of their gradient times the three pixels that each tap reads.
void add_convolution_gradients(NativeBackend::State& state, const Value& x, const ops::Conv3x3& convolution,
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

namespace {

/// The gradients of the input positions whose row, and whose column, is even or odd.
struct InputGradientLoop {
  const float* dy;
  float* to;
  Shape map;
  Shape output;
  bool odd_row, odd_column;
  const kernels::PackedWeights* weights;
  const float* zeros;  ///< [output channels]

  std::int64_t taps() const { return (odd_row ? 2 : 1) * (odd_column ? 2 : 1); }

  void run(const RowBlock& block, std::int32_t first_panel, std::int32_t last_panel, Scratch& scratch) const {
    const std::int64_t count = block.rows * output.width;
    const float** a = scratch.pointers(taps() * count);
    float** c = scratch.mutable_pointers(count);
    const float** next = a;
    for (std::int64_t row_tap = 0; row_tap < (odd_row ? 2 : 1); ++row_tap) {
      for (std::int64_t column_tap = 0; column_tap < (odd_column ? 2 : 1); ++column_tap) {
        for (std::int64_t row = block.first_row; row < block.first_row + block.rows; ++row) {
          for (std::int64_t column = 0; column < output.width; ++column) {
            *next++ = output_gradient(block.image, row + row_tap, column + column_tap);
          }
        }
      }
    }
    for (std::int64_t row = 0; row < block.rows; ++row) {
      for (std::int64_t column = 0; column < output.width; ++column) {
        const std::int64_t y = 2 * (block.first_row + row) + (odd_row ? 1 : 0);
        const std::int64_t x = 2 * column + (odd_column ? 1 : 0);
        c[row * output.width + column] = to + block.image * map.size() + (y * map.width + x) * map.channels;
      }
    }
    kernels::gemm(*weights, {.a = a, .c = c, .count = static_cast<std::int32_t>(count)}, {}, first_panel, last_panel);
  }

 private:
  const float* output_gradient(std::int64_t image, std::int64_t y, std::int64_t x) const {
    if (y >= output.height || x >= output.width) return zeros;
    return dy + image * output.size() + (y * output.width + x) * output.channels;
  }
};

}  // namespace

// An input position in an even row took part in one output row, by the kernel's middle row; one in an odd row in two,
// by the kernel's last row in the output above and by its first in the one below; columns likewise. So each of the
// four kinds of positions is a dense product of its own, with one, two or four taps, again without a gather.
Value convolution_input_gradient(NativeBackend& backend, NativeBackend::State& state, const Shape& map,
                                 const ops::Conv3x3& convolution, const Value& gradient) {
  const Shape output = gradient.shape();
  const Value dx = state.make_value(backend, map);
  const std::vector<float> zeros(static_cast<std::size_t>(output.channels));
  const RowBlocks blocks(output, state.batch);
  for (const bool odd_row : {false, true}) {
    for (const bool odd_column : {false, true}) {
      const InputGradientLoop loop{
          .dy = state.data(gradient),
          .to = state.values.data(dx.id()),
          .map = map,
          .output = output,
          .odd_row = odd_row,
          .odd_column = odd_column,
          .weights = &state.parameters.convolution_transposed(convolution, odd_row, odd_column),
          .zeros = zeros.data()};
      const PanelChunks chunks(kernels::panel_count(loop.weights->columns), blocks.size(), state.pool.size());
      state.parallel_for(blocks.size() * chunks.size(), 0, (1 + loop.taps()) * blocks.most_rows() * output.width,
                         [&](std::int64_t index, Scratch& scratch) {
                           const auto chunk = static_cast<std::int32_t>(index % chunks.size());
                           loop.run(blocks[index / chunks.size()], chunks.first(chunk), chunks.last(chunk), scratch);
                         });
    }
  }
  return dx;
}

}  // namespace gcvit::native
