// SPDX-License-Identifier: Apache-2.0
// Values, runs and the operations that walk over rows; linear.cc, convolution.cc and block.cc hold the dense ones.
#include "native/native_backend.h"

#include <algorithm>
#include <cmath>

#include "kernels/rows.h"
#include "kernels/target.h"
#include "native/state.h"
#include "ops/shape.h"
#include "tensor/error.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

NativeBackend::NativeBackend(ThreadPool& pool) : state_(std::make_unique<State>(pool)) {
  static_cast<void>(kernels::target());  // GCVIT_TARGET takes effect, or is refused, before any kernel runs
}

NativeBackend::~NativeBackend() = default;

void NativeBackend::start(std::int32_t batch) {
  if (batch < 1) fail("[native] batch: expected at least 1 image, found {}", batch);
  state_->batch = batch;
  if (batch > state_->largest_batch) {
    // None of the smaller batches' buffers fits any more.
    state_->values.free_unused();
    state_->largest_batch = batch;
  }
}

Value NativeBackend::State::make_value(NativeBackend& backend, const Shape& shape) {
  if (batch < 1) fail("[native] no run has been started");
  return {backend, values.create(batch * shape.size()), shape};
}

Value NativeBackend::input(const Shape& shape, std::span<const float> input_values) {
  Value value = state_->make_value(*this, shape);
  if (static_cast<std::int64_t>(input_values.size()) != state_->batch * shape.size()) {
    fail("[native] input: expected {} images of {} = {} floats, found {}", state_->batch, to_string(shape),
         state_->batch * shape.size(), input_values.size());
  }
  std::copy(input_values.begin(), input_values.end(), state_->values.data(value.id()));
  return value;
}

std::span<const float> NativeBackend::read(const Value& value) const {
  return {state_->data(value), static_cast<std::size_t>(state_->values.size(value.id()))};
}

void NativeBackend::set_tap_listener(TapListener listener) { state_->tap_listener = std::move(listener); }

void NativeBackend::tap(std::string_view name, const Value& value) {
  if (state_->tap_listener) state_->tap_listener(name, value);
}

void NativeBackend::retain(std::int32_t id) { state_->values.retain(id); }
void NativeBackend::release(std::int32_t id) noexcept { state_->values.release(id); }

Value NativeBackend::layer_norm(const Value& x, const ops::LayerNorm& norm) {
  const Shape shape = ops::layer_norm_shape(x.shape(), norm);
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const float* weight = values_of(norm.weight);
  const float* bias = values_of(norm.bias);
  const std::int64_t channels = shape.channels;
  const RowTiles tiles(state_->batch * shape.positions(), kTileRows, state_->pool.size());
  state_->parallel_for(tiles.size(), 0, 2 * tiles.most_rows(), [&](std::int64_t tile, Scratch& scratch) {
    const std::int64_t rows = tiles.rows(tile);
    const float** x_rows = scratch.pointers(rows);
    float** y_rows = scratch.mutable_pointers(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      x_rows[r] = from + (tiles.first(tile) + r) * channels;
      y_rows[r] = to + (tiles.first(tile) + r) * channels;
    }
    kernels::layer_norm(x_rows, static_cast<std::int32_t>(rows), shape.channels, weight, bias, ops::kLayerNormEpsilon,
                        y_rows);
  });
  return y;
}

namespace {

/// The rows above, at and below row `y` of the map that begins at `map`.
kernels::RowTriple rows_around(const float* map, const Shape& shape, std::int32_t y) {
  const std::int64_t stride = std::int64_t{shape.width} * shape.channels;
  const float* middle = map + y * stride;
  return {y > 0 ? middle - stride : nullptr, middle, y + 1 < shape.height ? middle + stride : nullptr};
}

}  // namespace

Value NativeBackend::depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution,
                                              ops::Activation activation) {
  const Shape shape = ops::depthwise_convolution3x3_shape(x.shape(), convolution);
  if (activation == ops::Activation::kSigmoid || convolution.bias) {
    fail("[native] depthwise_convolution3x3 \"{}\": GELU or no activation, and no bias", convolution.weight.name);
  }
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const float* weights = state_->parameters.depthwise(convolution.weight);
  state_->parallel_for(state_->batch * shape.height, 0, 0, [&](std::int64_t index, Scratch&) {
    const std::int64_t image = index / shape.height;
    const auto row = static_cast<std::int32_t>(index % shape.height);
    kernels::depthwise3x3_row(rows_around(from + image * shape.size(), shape, row), shape.width, shape.channels,
                              weights, activation == ops::Activation::kGelu, to + index * shape.width * shape.channels);
  });
  return y;
}

Value NativeBackend::max_pool3x3_stride2(const Value& x, ops::PoolPadding padding) {
  const Shape shape = ops::max_pool3x3_stride2_shape(x.shape());
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const float outside = padding == ops::PoolPadding::kZero ? 0.0f : -HUGE_VALF;
  state_->parallel_for(state_->batch * shape.height, 0, 0, [&](std::int64_t index, Scratch&) {
    const std::int64_t image = index / shape.height;
    const auto row = static_cast<std::int32_t>(index % shape.height);
    kernels::max_pool3x3_row(rows_around(from + image * x.shape().size(), x.shape(), 2 * row), x.shape().width,
                             shape.channels, outside, to + index * shape.width * shape.channels);
  });
  return y;
}

Value NativeBackend::global_average_pool(const Value& x) {
  const Shape map = x.shape();
  const Value row_sums = state_->make_value(*this, {map.height, 1, map.channels});
  const Value y = state_->make_value(*this, ops::global_average_pool_shape(map));
  const float* from = state_->data(x);
  float* sums = state_->values.data(row_sums.id());
  float* to = state_->values.data(y.id());
  // Row by row, then over the rows: the order is the shape's alone, and errors grow with H + W instead of H W.
  state_->parallel_for(state_->batch * map.height, 0, 0, [&](std::int64_t row, Scratch&) {
    kernels::sum_positions(from + row * map.width * map.channels, map.width, map.channels, 1.0f,
                           sums + row * map.channels);
  });
  const float reciprocal = 1.0f / static_cast<float>(map.positions());
  state_->parallel_for(state_->batch, 0, 0, [&](std::int64_t image, Scratch&) {
    kernels::sum_positions(sums + image * map.height * map.channels, map.height, map.channels, reciprocal,
                           to + image * map.channels);
  });
  return y;
}

Value NativeBackend::scale_channels(const Value& x, const Value& scale) {
  const Shape shape = ops::scale_channels_shape(x.shape(), scale.shape());
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  const float* factors = state_->data(scale);
  float* to = state_->values.data(y.id());
  state_->parallel_for(state_->batch * shape.height, 0, 0, [&](std::int64_t row, Scratch&) {
    const std::int64_t at = row * shape.width * shape.channels;
    kernels::scale_positions(from + at, shape.width, shape.channels, factors + row / shape.height * shape.channels,
                             to + at);
  });
  return y;
}

}  // namespace gcvit::native
