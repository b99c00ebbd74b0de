// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "kernels/rows.h"
#include "native/rows_around.h"
#include "native/state.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

namespace {

/// From the gradient of the convolution's output to those of its input and weight.
struct DepthwiseBackward {
  Value x;
  const ops::Conv3x3& convolution;
  ops::Activation activation;
  std::int32_t x_node;

  void run(NativeBackend& backend, NativeBackend::State& state, const Value& gradient) const {
    float* dy = state.values.data(gradient.id());
    if (activation == ops::Activation::kGelu) undo_gelu(state, dy);
    if (state.trains(convolution.weight)) add_weight_gradient(state, dy);
    if (x_node >= 0 && state.tape.node(x_node).needs_gradient) add_input_gradient(backend, state, dy);
  }

 private:
  std::int64_t row_size() const { return std::int64_t{x.shape().width} * x.shape().channels; }

  /// Calls body(first float of the image, row, scratch) for each row of each image's map.
  template <typename Body>
  void for_each_row(NativeBackend::State& state, const Body& body) const {
    const Shape map = x.shape();
    state.parallel_for(state.batch * map.height, Scratch::rounded(row_size()), 0,
                       [&](std::int64_t index, Scratch& scratch) {
                         body(index / map.height * map.size(), static_cast<std::int32_t>(index % map.height), scratch);
                       });
  }

  /// What GELU was applied to is computed again.
  void undo_gelu(NativeBackend::State& state, float* dy) const {
    const Shape map = x.shape();
    const float* inputs = state.data(x);
    const float* kernel = state.parameters.depthwise(convolution.weight);
    for_each_row(state, [&](std::int64_t image, std::int32_t row, Scratch& scratch) {
      float* before = scratch.floats(row_size());
      kernels::depthwise3x3_row(rows_around(inputs + image, map, row), map.width, map.channels, kernel, false, before);
      float* at = dy + image + row * row_size();
      kernels::gelu_backward(before, at, row_size(), at);
    });
  }

  void add_weight_gradient(NativeBackend::State& state, const float* dy) const {
    const Shape map = x.shape();
    const float* inputs = state.data(x);
    const std::int64_t floats = std::int64_t{9} * map.channels;
    float* by_image = state.partial_sums(state.batch * floats);
    state.parallel_for(state.batch, 0, 0, [&](std::int64_t image, Scratch&) {
      float* sums = by_image + image * floats;
      std::fill_n(sums, floats, 0.0f);
      for (std::int32_t row = 0; row < map.height; ++row) {
        kernels::depthwise3x3_weight_gradient_row(rows_around(inputs + image * map.size(), map, row), map.width,
                                                  map.channels, dy + image * map.size() + row * row_size(), sums);
      }
    });
    std::vector<float> sums(static_cast<std::size_t>(floats));
    state.add_partial_sums(by_image, state.batch, floats, sums.data());
    float* to = state.gradient_of(convolution.weight);
    for (std::int64_t c = 0; c < map.channels; ++c) {
      for (std::int64_t tap = 0; tap < 9; ++tap)
        to[c * 9 + tap] += sums[static_cast<std::size_t>(tap * map.channels + c)];
    }
  }

  void add_input_gradient(NativeBackend& backend, NativeBackend::State& state, const float* dy) const {
    const Shape map = x.shape();
    const Value dx = state.make_value(backend, map);
    float* to = state.values.data(dx.id());
    const float* flipped = state.parameters.depthwise_flipped(convolution.weight);
    for_each_row(state, [&](std::int64_t image, std::int32_t row, Scratch&) {
      kernels::depthwise3x3_row(rows_around(dy + image, map, row), map.width, map.channels, flipped, false,
                                to + image + row * row_size());
    });
    state.add_gradient(x_node, dx);
  }
};

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
  if (state_->tape.recording() && (state_->trains(convolution.weight) || state_->needs_gradient(x))) {
    const DepthwiseBackward backward{
        .x = x, .convolution = convolution, .activation = activation, .x_node = state_->node(x)};
    state_->record(y, [this, backward](const Value& gradient) { backward.run(*this, *state_, gradient); });
  }
  return y;
}

}  // namespace gcvit::native
