// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_example_bias.h"

#include <algorithm>

#include "base/error.h"

namespace gcvit::weights {

Tensor keras_example_bias_table(const Tensor& table) {
  if (table.dims().size() != 2) fail("[weights] bias table: expected [rows, heads], found {}", to_string(table.dims()));
  const std::span<const float> flat = table.values();
  Tensor rewritten(DType::kF32, table.dims());
  const auto rows = static_cast<std::size_t>(table.dims()[0]);
  const auto heads = static_cast<std::size_t>(table.dims()[1]);
  for (std::size_t row = 0; row < rows; ++row) {
    std::ranges::fill(rewritten.mutable_values().subspan(row * heads, heads), flat[row]);
  }
  return rewritten;
}

}  // namespace gcvit::weights
