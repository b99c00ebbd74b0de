// SPDX-License-Identifier: Apache-2.0
// Parameters as initialisers, with what is folded into them.
#include <algorithm>
#include <cmath>

#include "model/tensor_table.h"
#include "onnx/names.h"
#include "onnx/state.h"
#include "base/error.h"

namespace gcvit::onnx {
namespace {

/// In an int32 bias, with room for the sum that it is added to.
constexpr double kMostBias = 1 << 30;

/// The integers and scale of one output channel once `factor` is in the scale. Some runtimes want scales above zero: a negative one
/// goes into the integers unless -128 is among them, and zeros get the scale 1.
float fold(std::span<std::int8_t> integers, float scale, float factor) {
  scale *= factor;
  if (scale == 0.0f) {
    std::ranges::fill(integers, std::int8_t{0});
    return 1.0f;
  }
  if (scale > 0.0f || std::ranges::find(integers, std::int8_t{-128}) != integers.end()) return scale;
  for (std::int8_t& integer : integers) integer = static_cast<std::int8_t>(-integer);
  return -scale;
}

}  // namespace

std::span<const float> values_of(const ops::Parameter& parameter) {
  if (parameter.tensor.empty()) fail("[onnx] \"{}\" has no values", parameter.name);
  return parameter.tensor.values();
}

std::string OnnxBackend::State::parameter(const ops::Parameter& parameter) {
  return graph.initialiser(parameter.name, parameter.dims, values_of(parameter));
}

OnnxBackend::State::Outputs OnnxBackend::State::outputs_of(const ops::Parameter& weight, const ops::Parameter* gamma) {
  Outputs outputs{.count = weight.dims[0]};
  if (gamma != nullptr) {
    outputs.suffix = "_times_" + gamma->name.substr(gamma->name.rfind('.') + 1);
    outputs.factors = values_of(*gamma);
  }
  return outputs;
}

std::string OnnxBackend::State::floats(const ops::Parameter& parameter, const Outputs& outputs) {
  if (outputs.suffix.empty()) return this->parameter(parameter);
  Dims dims = parameter.dims;
  dims[0] = outputs.count;
  return graph.initialiser(parameter.name + outputs.suffix, dims, [&](const Graph::Append& append) {
    const std::span<const float> values = values_of(parameter);
    std::vector<float> row(values.size() / static_cast<std::size_t>(parameter.dims[0]));
    for (std::int64_t output = 0; output < outputs.count; ++output) {
      const std::span<const float> own =
          values.subspan(static_cast<std::size_t>(outputs.first + output) * row.size(), row.size());
      const float factor = outputs.factor_of(output);
      std::ranges::transform(own, row.begin(), [factor](float value) { return value * factor; });
      append(row);
    }
  });
}

OnnxBackend::State::Integers OnnxBackend::State::integers_of(const ops::Parameter& weight, const Outputs& outputs) {
  const auto count = static_cast<std::size_t>(outputs.count);
  const auto first = static_cast<std::size_t>(outputs.first);
  const std::size_t size = weight.tensor.bytes().size() / static_cast<std::size_t>(weight.dims[0]);
  const std::span<const std::byte> own = weight.tensor.bytes().subspan(first * size, count * size);
  Integers result{std::vector<std::int8_t>(own.size()), std::vector<float>(count)};
  std::ranges::transform(own, result.values.begin(), [](std::byte byte) { return static_cast<std::int8_t>(byte); });
  for (std::size_t output = 0; output < count; ++output) {
    result.scales[output] =
        fold(std::span(result.values).subspan(output * size, size), weight.scales.values()[first + output],
             outputs.factor_of(static_cast<std::int64_t>(output)));
  }
  return result;
}

std::string OnnxBackend::State::dequantised(const ops::Parameter& weight, const Outputs& outputs,
                                            const Integers& integers, const std::string& layer) {
  const std::string name = weight.name + outputs.suffix;
  Dims dims = weight.dims;
  dims[0] = outputs.count;
  const std::string values = graph.integers8(name, dims, integers.values);
  const std::string scales = graph.initialiser(name + ".scale", {outputs.count}, integers.scales);
  // ONNX Runtime computes in integers only where it is told that they are centred on zero, and rewrites each such tensor for itself
  // (session.x64quantprecision), so that they can't be shared.
  const std::vector<std::int8_t> zeros(integers.scales.size());
  const std::string zero = graph.integers8(name + ".zero_point", {outputs.count}, zeros);
  return graph.add("DequantizeLinear", below(layer, "weight"), {values, scales, zero}, {}, {{"axis", std::int64_t{0}}});
}

std::string OnnxBackend::State::rounded_input(const Input& x, const ops::Parameter& weight, float scale) {
  const std::string key = weight.name + " " + x.name;
  if (const auto found = rounded_inputs.find(key); found != rounded_inputs.end()) return found->second;
  const std::string layer = below(model::readable_layer(weight.name), "input");
  const std::int8_t zero[] = {0};
  const std::string scale_and_zero[] = {graph.scalar(weight.name + ".input_scale", scale),
                                        graph.integers8("zero_int8", {}, zero)};
  const std::string integers =
      graph.add("QuantizeLinear", layer + "/quantize", {x.name, scale_and_zero[0], scale_and_zero[1]}, {});
  return rounded_inputs[key] =
             graph.add("DequantizeLinear", layer, {integers, scale_and_zero[0], scale_and_zero[1]}, x.axes);
}

std::string OnnxBackend::State::rounded_bias(const ops::Parameter& bias, const Outputs& outputs,
                                             std::span<const float> weight_scales, float input_scale,
                                             const std::string& layer) {
  const std::span<const float> values = values_of(bias).subspan(static_cast<std::size_t>(outputs.first));
  std::vector<float> scales(weight_scales.size());
  std::vector<std::int32_t> integers(weight_scales.size());
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] = weight_scales[i] * input_scale;
    const double integer =
        std::nearbyint(static_cast<double>(values[i]) * outputs.factor_of(static_cast<std::int64_t>(i)) / scales[i]);
    if (!(std::abs(integer) <= kMostBias)) return floats(bias, outputs);
    integers[i] = static_cast<std::int32_t>(integer);
  }
  const std::string name = bias.name + outputs.suffix;
  const std::string inputs[] = {graph.indices(name, {outputs.count}, integers),
                                graph.initialiser(name + ".scale", {outputs.count}, scales)};
  return graph.add("DequantizeLinear", below(layer, "bias"), {inputs[0], inputs[1]}, {}, {{"axis", std::int64_t{0}}});
}

std::vector<std::string> OnnxBackend::State::operands(const Input& x, const ops::Parameter& weight,
                                                      const std::optional<ops::Parameter>& bias, const Outputs& outputs,
                                                      const std::string& layer) {
  if (weight.tensor.empty() || weight.tensor.dtype() != DType::kI8) {
    std::vector<std::string> inputs{x.name, floats(weight, outputs)};
    if (bias) inputs.push_back(floats(*bias, outputs));
    return inputs;
  }
  const Integers integers = integers_of(weight, outputs);
  std::vector<std::string> inputs{x.name, dequantised(weight, outputs, integers, layer)};
  const auto input_scale = options.input_scales.find(weight.name);
  if (input_scale == options.input_scales.end()) {
    if (bias) inputs.push_back(floats(*bias, outputs));
    return inputs;
  }
  inputs[0] = rounded_input(x, weight, input_scale->second);
  if (bias) inputs.push_back(rounded_bias(*bias, outputs, integers.scales, input_scale->second, layer));
  return inputs;
}

}  // namespace gcvit::onnx
