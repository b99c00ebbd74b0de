// SPDX-License-Identifier: Apache-2.0
// Runs, values, and the operations on rows that are small: normalisation, pools, scaling.
#include "native/native_backend.h"

#include <algorithm>
#include <cmath>

#include "kernels/rows.h"
#include "kernels/target.h"
#include "native/rows_around.h"
#include "native/state.h"
#include "ops/shape.h"
#include "base/error.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

NativeBackend::NativeBackend(ThreadPool& pool) : NativeBackend(pool, std::make_shared<PackedParameters>(pool)) {}

NativeBackend::NativeBackend(ThreadPool& pool, std::shared_ptr<PackedParameters> packed)
    : state_(std::make_unique<State>(pool, std::move(packed))) {
  state_->owner = this;
  static_cast<void>(kernels::target());  // GCVIT_TARGET takes effect, or is refused, before any kernel runs
}

NativeBackend::~NativeBackend() { state_->start_tape(false, {}); }  // while the values it holds can still be released

void NativeBackend::start(std::int32_t batch) {
  if (batch < 1) fail("[native] batch: expected at least 1 image, found {}", batch);
  state_->start_tape(false, {});
  state_->gradient_forms.reset();
  state_->values.start_run();
  state_->batch = batch;
  if (batch > state_->largest_batch) {
    // None of the smaller batches' buffers fits any more.
    state_->values.free_unused();
    state_->largest_batch = batch;
  }
}

void NativeBackend::set_precision(ops::Precision precision) {
  state_->parameters.set_precision(kernel_precision(precision));
}

void NativeBackend::State::refuse(const Value& value) const {
  if (value.empty()) fail("[native] expected a value, found an empty one");
  if (value.backend() != owner) fail("[native] expected a value of this backend, found one of another");
  fail("[native] expected a value of this run, found one of a run that `start` has ended");
}

Value NativeBackend::State::make_value(NativeBackend& backend, const Shape& shape) {
  if (batch < 1) fail("[native] no run has been started");
  Value value(backend, values.create(batch * shape.size()), shape);
  if (tape.recording()) values.node(value.id()) = tape.add_node(shape);
  return value;
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
  const bool trains = state_->trains(norm.weight) || state_->trains(norm.bias);
  if (state_->tape.recording() && (trains || state_->needs_gradient(x))) {
    state_->record(y, [this, x, x_node = state_->node(x), &norm, trains](const Value& gradient) {
      const std::int64_t width = gradient.shape().channels;
      const float* inputs = state_->data(x);
      const float* dy = state_->data(gradient);
      float* dx = state_->gradient_to_add_to(*this, x_node);
      std::vector<float> sums(static_cast<std::size_t>(2 * width));  // of the scale's gradient and the shift's
      state_->sum_over_rows(state_->batch * gradient.shape().positions(), 2 * width, 3 * State::kSumRows, sums.data(),
                            [&](std::int64_t first, std::int64_t count, float* partial, Scratch& scratch) {
                              const float** x_rows = scratch.pointers(count);
                              const float** dy_rows = scratch.pointers(count);
                              float** dx_rows = scratch.mutable_pointers(count);
                              for (std::int64_t r = 0; r < count; ++r) {
                                x_rows[r] = inputs + (first + r) * width;
                                dy_rows[r] = dy + (first + r) * width;
                                dx_rows[r] = dx + (first + r) * width;
                              }
                              kernels::layer_norm_backward(x_rows, dy_rows, static_cast<std::int32_t>(count),
                                                           gradient.shape().channels, values_of(norm.weight),
                                                           ops::kLayerNormEpsilon, dx_rows, trains ? partial : nullptr,
                                                           trains ? partial + width : nullptr);
                            });
      if (state_->trains(norm.weight)) kernels::add_to(state_->gradient_of(norm.weight), sums.data(), width);
      if (state_->trains(norm.bias)) kernels::add_to(state_->gradient_of(norm.bias), sums.data() + width, width);
    });
  }
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
  if (state_->needs_gradient(x)) {
    state_->record(y, [this, x, x_node = state_->node(x), outside](const Value& gradient) {
      const Shape map = x.shape();
      const Shape pooled = gradient.shape();
      const std::int64_t row_size = std::int64_t{map.width} * map.channels;
      const float* inputs = state_->data(x);
      const float* dy = state_->data(gradient);
      float* dx = state_->gradient_to_add_to(*this, x_node);
      // Fields of neighbouring rows overlap: an image's rows follow one another.
      state_->parallel_for(state_->batch, 0, 0, [&](std::int64_t image, Scratch&) {
        for (std::int32_t row = 0; row < pooled.height; ++row) {
          float* middle = dx + image * map.size() + 2 * row * row_size;
          kernels::max_pool3x3_backward_row(
              rows_around(inputs + image * map.size(), map, 2 * row), map.width, map.channels, outside,
              dy + image * pooled.size() + std::int64_t{row} * pooled.width * map.channels,
              row == 0 ? nullptr : middle - row_size, middle, middle + row_size);
        }
      });
    });
  }
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
  if (state_->needs_gradient(x)) {
    state_->record(y, [this, x_node = state_->node(x), map, reciprocal](const Value& gradient) {
      const float* dy = state_->data(gradient);
      float* dx = state_->gradient_to_add_to(*this, x_node);
      state_->parallel_for(state_->batch * map.height, 0, 0, [&](std::int64_t row, Scratch&) {
        for (std::int64_t position = row * map.width; position < (row + 1) * map.width; ++position) {
          kernels::add_scaled_to(dx + position * map.channels, dy + row / map.height * map.channels, reciprocal,
                                 map.channels);
        }
      });
    });
  }
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
  if (state_->needs_gradient(x) || state_->needs_gradient(scale)) {
    state_->record(
        y, [this, x, scale, x_node = state_->node(x), scale_node = state_->node(scale)](const Value& gradient) {
          const Shape map = x.shape();
          const Value dx = state_->make_value(*this, map);
          const Value dscale = state_->make_value(*this, scale.shape());
          state_->parallel_for(state_->batch, 0, 0, [&](std::int64_t image, Scratch&) {
            float* sums = state_->values.data(dscale.id()) + image * map.channels;
            std::fill_n(sums, map.channels, 0.0f);
            kernels::scale_positions_backward(state_->data(x) + image * map.size(),
                                              state_->data(scale) + image * map.channels,
                                              state_->data(gradient) + image * map.size(), map.positions(),
                                              map.channels, state_->values.data(dx.id()) + image * map.size(), sums);
          });
          if (state_->tape.node(x_node).needs_gradient) state_->add_gradient(x_node, dx);
          if (state_->tape.node(scale_node).needs_gradient) state_->add_gradient(scale_node, dscale);
        });
  }
  return y;
}

}  // namespace gcvit::native
