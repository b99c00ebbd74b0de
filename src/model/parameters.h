// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "ops/parameter.h"

namespace gcvit::model {

using ops::Parameter;

/// Called with a parameter; a module's `visit` hands over its own in the order of the tensor table (tensor_table.h), which
/// has their names.
using Visitor = std::function<void(Parameter& parameter)>;

/// Layers with parameters of the given sizes, not yet filled.
ops::Linear make_linear(std::int64_t in, std::int64_t out);
ops::Linear make_linear_without_bias(std::int64_t in, std::int64_t out);
ops::Linear make_pointwise(std::int64_t in, std::int64_t out);
ops::Conv3x3 make_conv3x3(std::int64_t in, std::int64_t out);
ops::Conv3x3 make_depthwise(std::int64_t channels);
ops::LayerNorm make_layer_norm(std::int64_t channels);

void visit(ops::Linear& linear, const Visitor& visitor);
void visit(ops::Conv3x3& convolution, const Visitor& visitor);
void visit(ops::LayerNorm& norm, const Visitor& visitor);

}  // namespace gcvit::model
