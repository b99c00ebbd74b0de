// SPDX-License-Identifier: Apache-2.0
#include "weights/quantise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/tensor_table.h"

namespace gcvit::weights {
namespace {

constexpr float kMost = 127.0f;

/// The nearest integer of a number below 2^22, ties to even: adding this leaves no bits behind the point.
float nearest(float value) {
  constexpr float kNoFraction = 12582912.0f;  // 1.5 * 2^23
  return value + kNoFraction - kNoFraction;
}

std::int64_t depth_of(const Dims& dims) { return dims.empty() || dims[0] == 0 ? 0 : element_count(dims) / dims[0]; }

}  // namespace

ops::TypedValues quantised(const Tensor& values) {
  const std::span<const float> from = values.values();
  const std::int64_t channels = values.dims()[0];
  const auto depth = static_cast<std::size_t>(depth_of(values.dims()));
  const auto integers = std::make_shared<std::vector<std::int8_t>>(from.size());
  Tensor scales(DType::kF32, {channels});
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(channels); ++channel) {
    const std::span<const float> row = from.subspan(channel * depth, depth);
    float largest = 0.0f;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    float scale = largest / kMost;
    if (scale == 0.0f) scale = 1.0f;  // also where the largest is denormal
    scales.mutable_values()[channel] = scale;
    std::int8_t* const to = integers->data() + channel * depth;
    for (std::size_t i = 0; i < depth; ++i) {
      to[i] = static_cast<std::int8_t>(std::clamp(nearest(row[i] / scale), -kMost, kMost));
    }
  }
  return {Tensor(DType::kI8, values.dims(), integers, std::as_bytes(std::span(*integers))), scales};
}

std::size_t quantise(model::GCViT& model) {
  std::size_t count = 0;
  for (model::Parameter* parameter : model.parameters()) {
    if (!model::may_be_i8(*model::find_tensor(parameter->name)->row)) continue;
    ops::TypedValues typed = quantised(parameter->tensor);
    parameter->tensor = std::move(typed.values);
    parameter->scales = std::move(typed.scales);
    ++parameter->version;
    ++count;
  }
  return count;
}

std::string fault_of_scales(const Tensor& scales, const Dims& dims) {
  const std::array<std::int64_t, 1> expected = {dims.empty() ? 0 : dims[0]};
  if (scales.dtype() != DType::kF32 || !std::ranges::equal(scales.dims(), expected)) {
    return fmt::format("expected f32 {}, one an output channel, found {} {}", to_string(expected),
                       name_of(scales.dtype()), to_string(scales.dims()));
  }
  const Tensor aligned = scales.to_f32();
  for (std::size_t i = 0; i < aligned.values().size(); ++i) {
    const float scale = aligned.values()[i];
    // Times 128 it must still be a number.
    if (!(scale >= 0.0f) || !std::isfinite(scale * 128.0f)) {
      return fmt::format("element {}: expected a scale from 0 up, found {}", i,
                         std::isnan(scale) ? std::string("nan") : fmt::format("{}", scale));
    }
  }
  return "";
}

}  // namespace gcvit::weights
