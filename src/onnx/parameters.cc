// SPDX-License-Identifier: Apache-2.0
// Parameters as initialisers, with what is folded into them.
#include <algorithm>

#include "onnx/names.h"
#include "onnx/state.h"
#include "base/error.h"

namespace gcvit::onnx {
namespace {

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

std::string OnnxBackend::State::dequantised(const ops::Parameter& weight, const Outputs& outputs,
                                            const std::string& layer) {
  const auto count = static_cast<std::size_t>(outputs.count);
  const auto first = static_cast<std::size_t>(outputs.first);
  const std::size_t size = weight.tensor.bytes().size() / static_cast<std::size_t>(weight.dims[0]);
  const std::span<const std::byte> own = weight.tensor.bytes().subspan(first * size, count * size);
  std::vector<std::int8_t> integers(own.size());
  std::ranges::transform(own, integers.begin(), [](std::byte byte) { return static_cast<std::int8_t>(byte); });
  std::vector<float> scales(count);
  for (std::size_t output = 0; output < count; ++output) {
    scales[output] = fold(std::span(integers).subspan(output * size, size), weight.scales.values()[first + output],
                          outputs.factor_of(static_cast<std::int64_t>(output)));
  }
  const std::string name = weight.name + outputs.suffix;
  Dims dims = weight.dims;
  dims[0] = outputs.count;
  const std::string inputs[] = {graph.integers8(name, dims, integers),
                                graph.initialiser(name + ".scale", {outputs.count}, scales)};
  return graph.add("DequantizeLinear", below(layer, "weight"), {inputs[0], inputs[1]}, {}, {{"axis", std::int64_t{0}}});
}

std::vector<std::string> OnnxBackend::State::operands(const Input& x, const ops::Parameter& weight,
                                                      const std::optional<ops::Parameter>& bias, const Outputs& outputs,
                                                      const std::string& layer) {
  const bool is_int8 = !weight.tensor.empty() && weight.tensor.dtype() == DType::kI8;
  std::vector<std::string> inputs{x.name, is_int8 ? dequantised(weight, outputs, layer) : floats(weight, outputs)};
  if (bias) inputs.push_back(floats(*bias, outputs));
  return inputs;
}

}  // namespace gcvit::onnx
