// SPDX-License-Identifier: Apache-2.0
// The operations as nodes; layout.cc has the forms of values, attention.cc attention, file.cc the file.
#include "onnx/onnx_backend.h"

#include "model/tensor_table.h"
#include "onnx/names.h"
#include "onnx/state.h"
#include "ops/shape.h"
#include "base/error.h"

namespace gcvit::onnx {

using ops::Shape;
using ops::Value;

namespace {

Axes map_axes(const Shape& shape) { return {1, shape.channels, shape.height, shape.width}; }
Axes token_axes(const Shape& shape) { return {shape.positions(), shape.channels}; }

const std::vector<std::int64_t> kOnes{1, 1, 1, 1};

}  // namespace

OnnxBackend::OnnxBackend(const GraphOptions& options) : state_(std::make_unique<State>(options)) {
  if (options.opset < kOldestOpset || options.opset > kNewestOpset) {
    fail("[onnx] opset: expected {} to {}, found {}", kOldestOpset, kNewestOpset, options.opset);
  }
}

OnnxBackend::~OnnxBackend() = default;

Value OnnxBackend::input(const std::string& name, const Shape& shape) {
  state_->graph.input(name, map_axes(shape));
  return state_->make_value(*this, {.shape = shape, .layer = "", .map = name});
}

void OnnxBackend::output(const std::string& name, const Value& value) {
  if (value.shape().positions() != 1) fail("[onnx] output: expected a vector, found {}", to_string(value.shape()));
  state_->graph.output(state_->tokens(value).name, name);
}

std::string OnnxBackend::State::activate(const std::string& x, const std::string& layer, ops::Activation activation,
                                         const Axes& axes) {
  if (activation == ops::Activation::kNone) return x;
  if (activation == ops::Activation::kSigmoid) return graph.add("Sigmoid", below(layer, "sigmoid"), {x}, axes);
  // The nodes, in the order, that ONNX Runtime and OpenVINO know as one exact GELU.
  const auto add = [&](std::string_view op, std::string_view name, const std::vector<std::string>& inputs) {
    return graph.add(op, below(layer, "gelu/") + std::string(name), inputs, axes);
  };
  const std::string scaled = add("Div", "div", {x, graph.scalar("sqrt_2", 1.41421356f)});
  const std::string error_function = add("Erf", "erf", {scaled});
  const std::string one_more = add("Add", "add", {error_function, graph.scalar("one", 1.0f)});
  const std::string product = add("Mul", "mul", {x, one_more});
  return add("Mul", "half", {product, graph.scalar("half", 0.5f)});
}

std::string OnnxBackend::State::normalise(const std::string& x, const ops::LayerNorm& norm, const Axes& axes) {
  const std::string layer = model::readable_layer(norm.weight.name);
  const std::string weight = parameter(norm.weight);
  const std::string bias = parameter(norm.bias);
  if (options.opset >= 17) {
    return graph.add("LayerNormalization", layer, {x, weight, bias}, axes,
                     {{"axis", std::int64_t{-1}}, {"epsilon", ops::kLayerNormEpsilon}});
  }
  Axes one_channel = axes;
  one_channel.back() = 1;
  const auto add = [&](std::string_view op, std::string_view name, const std::vector<std::string>& inputs,
                       const Axes& output) { return graph.add(op, below(layer, name), inputs, output); };
  const auto mean = [&](std::string_view name, const std::string& values) {
    return graph.add("ReduceMean", below(layer, name), {values}, one_channel,
                     {{"axes", std::vector<std::int64_t>{-1}}, {"keepdims", std::int64_t{1}}});
  };
  const std::string centred = add("Sub", "sub", {x, mean("mean", x)}, axes);
  const std::string squared = add("Pow", "pow", {centred, graph.scalar("two", 2.0f)}, axes);
  const std::string epsilon = graph.scalar("epsilon", ops::kLayerNormEpsilon);
  const std::string variance = add("Add", "add_epsilon", {mean("variance", squared), epsilon}, one_channel);
  const std::string deviation = add("Sqrt", "sqrt", {variance}, one_channel);
  const std::string normalised = add("Div", "div", {centred, deviation}, axes);
  const std::string times_weight = add("Mul", "mul", {normalised, weight}, axes);
  return add("Add", "add_bias", {times_weight, bias}, axes);
}

Value OnnxBackend::convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) {
  const Shape shape = ops::convolution3x3_stride2_shape(x.shape(), convolution);
  const std::string layer = model::readable_layer(convolution.weight.name);
  const std::vector<std::string> inputs =
      state_->operands({state_->map(x), map_axes(x.shape())}, convolution.weight, convolution.bias,
                       State::outputs_of(convolution.weight), layer);
  const std::string y = state_->graph.add("Conv", layer, inputs, map_axes(shape),
                                          {{"kernel_shape", std::vector<std::int64_t>{3, 3}},
                                           {"pads", kOnes},
                                           {"strides", std::vector<std::int64_t>{2, 2}}});
  return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
}

Value OnnxBackend::depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution,
                                            ops::Activation activation) {
  const Shape shape = ops::depthwise_convolution3x3_shape(x.shape(), convolution);
  const std::string layer = model::readable_layer(convolution.weight.name);
  const std::vector<std::string> inputs =
      state_->operands({state_->map(x), map_axes(x.shape())}, convolution.weight, convolution.bias,
                       State::outputs_of(convolution.weight), layer);
  const std::string filtered = state_->graph.add(
      "Conv", layer, inputs, map_axes(shape),
      {{"group", std::int64_t{shape.channels}}, {"kernel_shape", std::vector<std::int64_t>{3, 3}}, {"pads", kOnes}});
  const std::string y = state_->activate(filtered, layer, activation, map_axes(shape));
  return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
}

Value OnnxBackend::linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) {
  const Shape shape = ops::linear_shape(x.shape(), linear, epilogue);
  const ops::Residual* residual = epilogue.residual;
  const ops::Parameter* gamma = residual == nullptr ? nullptr : residual->gamma;
  const std::string layer = model::readable_layer(linear.weight.name);
  const State::Outputs outputs = State::outputs_of(linear.weight, gamma);
  const auto operands = [&](const std::string& name, const Axes& axes) {
    return state_->operands({name, axes}, linear.weight, linear.bias, outputs, layer);
  };
  if (linear.weight.role == ops::Role::kPointwise) {
    const std::vector<std::string> inputs = operands(state_->map(x), map_axes(x.shape()));
    std::string y = state_->graph.add("Conv", layer, inputs, map_axes(shape));
    y = state_->activate(y, layer, epilogue.activation, map_axes(shape));
    if (residual != nullptr) {
      y = state_->graph.add("Add", below(layer, "residual"), {state_->map(residual->input), y}, map_axes(shape));
    }
    return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
  }
  const Tokens from = state_->tokens(x);
  const std::vector<std::string> inputs = operands(from.name, token_axes(x.shape()));
  std::string y = state_->graph.add("Gemm", layer, inputs, token_axes(shape), {{"transB", std::int64_t{1}}});
  y = state_->activate(y, layer, epilogue.activation, token_axes(shape));
  if (residual != nullptr) {
    y = state_->graph.add("Add", below(layer, "residual"), {state_->tokens(residual->input, from.window), y},
                          token_axes(shape));
  }
  return state_->make_value(*this, {.shape = shape, .layer = layer, .tokens = Tokens{y, from.window}});
}

Value OnnxBackend::layer_norm(const Value& x, const ops::LayerNorm& norm) {
  const Shape shape = ops::layer_norm_shape(x.shape(), norm);
  const Tokens from = state_->tokens(x);
  const std::string y = state_->normalise(from.name, norm, token_axes(shape));
  return state_->make_value(
      *this, {.shape = shape, .layer = model::readable_layer(norm.weight.name), .tokens = Tokens{y, from.window}});
}

Value OnnxBackend::max_pool3x3_stride2(const Value& x, ops::PoolPadding padding) {
  const Shape shape = ops::max_pool3x3_stride2_shape(x.shape());
  const std::string layer = below(parent_of(state_->entry(x).layer), "max_pool");
  std::string from = state_->map(x);
  std::vector<std::int64_t> pads = kOnes;  // minus infinity
  if (padding == ops::PoolPadding::kZero) {
    Axes padded = map_axes(x.shape());
    padded[2] += 2;
    padded[3] += 2;
    from = state_->graph.add(
        "Pad", layer + "/pad",
        {from, state_->graph.integers("pads", {0, 0, 1, 1, 0, 0, 1, 1}), state_->graph.scalar("zero", 0.0f)}, padded);
    pads = {0, 0, 0, 0};
  }
  const std::string y = state_->graph.add("MaxPool", layer, {from}, map_axes(shape),
                                          {{"kernel_shape", std::vector<std::int64_t>{3, 3}},
                                           {"pads", pads},
                                           {"strides", std::vector<std::int64_t>{2, 2}}});
  return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
}

Value OnnxBackend::global_average_pool(const Value& x) {
  const Shape shape = ops::global_average_pool_shape(x.shape());
  const std::string layer = below(parent_of(state_->entry(x).layer), "mean");
  const std::string y = state_->graph.add("GlobalAveragePool", layer, {state_->map(x)}, map_axes(shape));
  return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
}

Value OnnxBackend::scale_channels(const Value& x, const Value& scale) {
  const Shape shape = ops::scale_channels_shape(x.shape(), scale.shape());
  const std::string layer = below(parent_of(state_->entry(scale).layer), "scale");
  const std::string y = state_->graph.add("Mul", layer, {state_->map(x), state_->map(scale)}, map_axes(shape));
  return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
}

}  // namespace gcvit::onnx
