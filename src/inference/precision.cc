// SPDX-License-Identifier: Apache-2.0
#include "inference/precision.h"

#include <utility>

#include "model/tensor_table.h"
#include "weights/quantise.h"

namespace gcvit::inference {
namespace {

/// Whether it is the weights of a linear layer or a strided convolution, whose operands may be bfloat16.
bool is_of_product(const ops::Parameter& parameter) {
  return model::is_weight(parameter.role) && parameter.role != ops::Role::kDepthwise;
}

bool may_be_i8(const ops::Parameter& parameter) { return model::may_be_i8(*model::find_tensor(parameter.name)->row); }

}  // namespace

ops::TypedValues in_precision(Precision precision, const ops::Parameter& parameter, ops::TypedValues values) {
  const DType stored = values.values.dtype();
  switch (precision) {
    case Precision::kF32: break;
    case Precision::kBf16:
      if (is_of_product(parameter)) return {to_f32(values).to(DType::kBF16), {}};
      break;
    case Precision::kInt8:
      if (may_be_i8(parameter)) return stored == DType::kI8 ? std::move(values) : weights::quantised(to_f32(values));
      [[fallthrough]];
    case Precision::kAuto:
      if (stored == DType::kI8 && may_be_i8(parameter)) return values;
      if (stored == DType::kBF16 && is_of_product(parameter)) return values;
      break;
  }
  return {to_f32(values), {}};
}

void set_precision(Precision precision, model::GCViT& model) {
  for (ops::Parameter* parameter : model.parameters()) {
    ops::TypedValues values = in_precision(precision, *parameter, {parameter->tensor, parameter->scales});
    parameter->tensor = std::move(values.values);
    parameter->scales = std::move(values.scales);
    ++parameter->version;
  }
}

Precision precision_of(const model::GCViT& model) {
  Precision narrowest = Precision::kF32;
  for (const ops::Parameter* parameter : model.parameters()) {
    if (parameter->tensor.dtype() == DType::kI8) return Precision::kInt8;
    if (parameter->tensor.dtype() == DType::kBF16) narrowest = Precision::kBf16;
  }
  return narrowest;
}

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::kAuto: return "auto";
    case Precision::kF32: return "f32";
    case Precision::kBf16: return "bf16";
    case Precision::kInt8: return "int8";
  }
  return "";
}

}  // namespace gcvit::inference
