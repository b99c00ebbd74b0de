// SPDX-License-Identifier: Apache-2.0
// The 3x3 convolution of stride 2 as a dense product without a gather: three taps, one for each row of the kernel, each
// three neighbouring pixels that lie side by side in the map. Only the first column, whose left pixel is padding, reads
// from a small copy. Its backward: convolution_backward.cc.
#include <algorithm>
#include <cstdint>

#include "native/convolution.h"
#include "native/shared_operands.h"
#include "native/state.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

RowBlocks::RowBlocks(const Shape& output, std::int32_t batch)
    : height_(output.height),
      rows_(std::clamp<std::int64_t>(kTileRows / output.width, 1, output.height)),
      per_image_((output.height + rows_ - 1) / rows_),
      size_(batch * per_image_) {}

namespace {

/// One convolution, ready to be computed block by block.
struct ConvolutionLoop {
  const float* from;
  float* to;
  Shape map;
  Shape output;
  const kernels::PackedWeights* weights;

  std::int64_t border_floats() const { return Scratch::rounded(std::int64_t{3} * map.channels); }
  /// Scratch of `point` for that many output rows.
  std::int64_t floats(std::int64_t rows) const { return (1 + 3 * rows) * border_floats(); }

  /// Writes where the rows of the product lie, [3][count], and returns their count; what is padded lies in the scratch.
  std::int64_t point(const RowBlock& block, const float** a, Scratch& scratch) const {
    const std::int64_t count = block.rows * output.width;
    float* zeros = scratch.floats(std::int64_t{3} * map.channels);
    std::fill_n(zeros, 3 * map.channels, 0.0f);
    for (std::int64_t row = 0; row < block.rows; ++row) {
      for (std::int64_t tap = 0; tap < 3; ++tap) {
        point_at_pixels(block.image, 2 * (block.first_row + row) + tap - 1, zeros, a + tap * count + row * output.width,
                        scratch);
      }
    }
    return count;
  }

  /// `operand`: of the block's rows, or null.
  void run(const RowBlock& block, const float* operand, std::int32_t first_panel, std::int32_t last_panel,
           Scratch& scratch) const {
    const std::int64_t count = block.rows * output.width;
    const float** a = scratch.pointers(3 * count);
    float** c = scratch.mutable_pointers(count);
    if (operand == nullptr) point(block, a, scratch);
    float* block_out = to + block.image * output.size() + block.first_row * output.width * output.channels;
    for (std::int64_t position = 0; position < count; ++position) c[position] = block_out + position * output.channels;
    kernels::gemm(*weights, {.a = a, .c = c, .count = static_cast<std::int32_t>(count), .operand = operand}, {},
                  first_panel, last_panel);
  }

 private:
  /// `pointers`, one for each output column, to the three pixels of row `map_row` that the tap reads.
  void point_at_pixels(std::int64_t image, std::int64_t map_row, const float* zeros, const float** pointers,
                       Scratch& scratch) const {
    const std::int64_t channels = map.channels;
    if (map_row < 0) {
      std::fill_n(pointers, output.width, zeros);
      return;
    }
    const float* at = from + image * map.size() + map_row * map.width * channels;
    float* border = scratch.floats(3 * channels);
    std::fill_n(border, channels, 0.0f);
    std::copy_n(at, 2 * channels, border + channels);
    pointers[0] = border;
    for (std::int64_t column = 1; column < output.width; ++column) pointers[column] = at + (2 * column - 1) * channels;
  }
};

}  // namespace

Value NativeBackend::convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) {
  const Shape shape = ops::convolution3x3_stride2_shape(x.shape(), convolution);
  const Value y = state_->make_value(*this, shape);
  const kernels::PackedWeights& weights = state_->parameters.convolution(convolution);
  const ConvolutionLoop loop{.from = state_->data(x),
                             .to = state_->values.data(y.id()),
                             .map = x.shape(),
                             .output = shape,
                             .weights = &weights};
  const RowBlocks blocks(shape, state_->batch);
  const PanelChunks chunks(kernels::panel_count(weights.columns), blocks.size(), state_->pool.size());
  const std::int64_t point_floats = loop.floats(blocks.most_rows());
  const SharedOperands operands(
      *state_, weights, {blocks.size(), chunks.size(), blocks.most_rows() * shape.width, point_floats},
      [&](std::int64_t block, const float** a, Scratch& scratch) { return loop.point(blocks[block], a, scratch); });
  state_->parallel_for(blocks.size() * chunks.size(), point_floats, 4 * blocks.most_rows() * shape.width,
                       [&](std::int64_t index, Scratch& scratch) {
                         const std::int64_t block = index / chunks.size();
                         const auto chunk = static_cast<std::int32_t>(index % chunks.size());
                         loop.run(blocks[block], operands[block], chunks.first(chunk), chunks.last(chunk), scratch);
                       });
  const bool trains = state_->trains(convolution.weight) || state_->trains(convolution.bias);
  if (state_->tape.recording() && (trains || state_->needs_gradient(x))) {
    state_->record(y, [this, x, x_node = state_->needs_gradient(x) ? state_->node(x) : -1, &convolution,
                       trains](const Value& gradient) {
      if (trains) add_convolution_gradients(*state_, x, convolution, gradient);
      if (x_node >= 0) {
        state_->add_gradient(x_node, convolution_input_gradient(*this, *state_, x.shape(), convolution, gradient));
      }
    });
  }
  return y;
}

}  // namespace gcvit::native
