// SPDX-License-Identifier: Apache-2.0
#include "weights/parameter_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/initialise.h"
#include "weights/change_image_size.h"
#include "formats/in_quotes.h"
#include "weights/keras_example_bias.h"
#include "weights/quantise.h"

namespace gcvit::weights {

std::size_t first_not_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  constexpr std::size_t kBlock = 1024;  // without a way out, so that the compiler makes vectors of it
  const auto is_finite = [](float value) { return (std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent; };
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::span<const float> block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    std::uint32_t broken = 0;
    for (const float value : block) broken |= is_finite(value) ? 0u : 1u;
    if (broken != 0)
      return begin + static_cast<std::size_t>(std::ranges::find_if_not(block, is_finite) - block.begin());
  }
  return values.size();
}

ParameterValues::ParameterValues(std::string file, const Options& options,
                                 std::vector<std::shared_ptr<const formats::MappedFile>> mappings)
    : file_(std::move(file)), options_(options), mappings_(std::move(mappings)) {}

void ParameterValues::add(const ops::Parameter& parameter, ops::TypedValues values) {
  stored_[parameter.id] = std::move(values);
}

DType ParameterValues::dtype_of(const ops::Parameter& parameter) const {
  const auto found = stored_.find(parameter.id);
  return found == stored_.end() ? DType::kF32 : found->second.values.dtype();
}

void ParameterValues::check_type(const ops::Parameter& parameter, const ops::TypedValues& stored) const {
  const DType dtype = stored.values.dtype();
  const bool is_float = dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64;
  const bool is_quantised = dtype == DType::kI8 && !stored.scales.empty();
  if (!is_float && !is_quantised) {
    const std::string scales =
        dtype == DType::kI8
            ? fmt::format(", or i8 with {}", formats::in_quotes(parameter.name + std::string(kScaleSuffix)))
            : "";
    fail("[weights] {}: tensor {}: expected f32, f16, bf16 or f64{}, found {}", file_,
         formats::in_quotes(parameter.name), scales, name_of(dtype));
  }
  if (is_quantised) {
    const std::string fault = fault_of_scales(stored.scales, stored.values.dims());
    if (!fault.empty()) {
      fail("[weights] {}: tensor {}: {}", file_, formats::in_quotes(parameter.name + std::string(kScaleSuffix)), fault);
    }
  }
}

/// Checked, and f32.
Tensor ParameterValues::converted(const ops::Parameter& parameter, const ops::TypedValues& stored) const {
  check_type(parameter, stored);
  Tensor converted = ops::to_f32(stored);
  const std::span<const float> values = converted.values();
  const std::size_t broken = first_not_finite(values);
  if (broken < values.size()) {
    // A NaN's sign says nothing.
    fail("[weights] {}: tensor {}: element {} is {}", file_, formats::in_quotes(parameter.name), broken,
         std::isnan(values[broken]) ? std::string("nan") : fmt::format("{}", values[broken]));
  }
  return converted;
}

bool ParameterValues::is_changed(const ops::Parameter& parameter) const {
  return parameter.role == ops::Role::kBiasTable &&
         (options_.keras_example_bias || dims_in_file(parameter, options_.stored) != parameter.dims);
}

ops::TypedValues ParameterValues::typed(const ops::Parameter& parameter) {
  const DType dtype = dtype_of(parameter);
  if (dtype == DType::kF32 || dtype == DType::kF64 || is_changed(parameter)) return {of(parameter), {}};
  if (dtype != DType::kI8) of(parameter);  // checks them
  const ops::TypedValues& stored = stored_.at(parameter.id);
  if (dtype != DType::kI8) return stored;
  check_type(parameter, stored);
  if (!last_.values.empty()) drop_pages(last_.values);
  last_ = stored;
  return {stored.values, stored.scales.to_f32()};
}

Tensor ParameterValues::of(const ops::Parameter& parameter) {
  if (!last_.values.empty()) drop_pages(std::exchange(last_, {}).values);
  const auto found = stored_.find(parameter.id);
  if (found == stored_.end()) {
    ops::Parameter fresh = parameter;
    model::initialise(fresh, options_.seed);
    return fresh.tensor;
  }
  last_ = found->second;
  Tensor values = converted(parameter, found->second);
  if (parameter.role != ops::Role::kBiasTable) return values;
  // As the weights were tuned, and then to the windows they get.
  if (options_.keras_example_bias) values = keras_example_bias_table(values);
  return resize_bias_table(parameter, std::move(values), options_.stored, options_.wanted);
}

void ParameterValues::check(const ops::Parameter& parameter) const { converted(parameter, stored_.at(parameter.id)); }

void ParameterValues::drop_pages(const Tensor& tensor) const {
  for (const std::shared_ptr<const formats::MappedFile>& mapping : mappings_) mapping->drop_pages(tensor.bytes());
}

}  // namespace gcvit::weights
