// SPDX-License-Identifier: Apache-2.0
#include "ops/typed_values.h"

#include <cstddef>
#include <span>

namespace gcvit::ops {

Tensor to_f32(const TypedValues& typed) {
  Tensor values = typed.values.to_f32();
  if (typed.values.dtype() != DType::kI8 || values.size() == 0) return values;
  const Tensor scales = typed.scales.to_f32();
  const std::span<float> to = values.mutable_values();
  const std::size_t depth = to.size() / scales.values().size();
  for (std::size_t channel = 0; channel < scales.values().size(); ++channel) {
    for (float& value : to.subspan(channel * depth, depth)) value *= scales.values()[channel];
  }
  return values;
}

}  // namespace gcvit::ops
