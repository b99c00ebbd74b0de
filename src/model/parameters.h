// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ops/parameter.h"

namespace gcvit::model {

using ops::Parameter;

/// Called with a parameter's name and the parameter; a module's `visit` hands over its own in a fixed order. Through
/// it every tensor's name is written once in the whole tree.
using Visitor = std::function<void(const std::string& name, Parameter& parameter)>;

/// "levels.0" + "blocks" -> "levels.0.blocks"; an empty prefix adds no dot.
std::string join(const std::string& prefix, const std::string& name);

/// Layers with parameters of the given sizes, not yet filled.
ops::Linear make_linear(std::int64_t in, std::int64_t out);
ops::Linear make_linear_without_bias(std::int64_t in, std::int64_t out);
ops::Linear make_pointwise(std::int64_t in, std::int64_t out);
ops::Conv3x3 make_conv3x3(std::int64_t in, std::int64_t out);
ops::Conv3x3 make_depthwise(std::int64_t channels);
ops::LayerNorm make_layer_norm(std::int64_t channels);

void visit(const std::string& prefix, ops::Linear& linear, const Visitor& visitor);
void visit(const std::string& prefix, ops::Conv3x3& convolution, const Visitor& visitor);
void visit(const std::string& prefix, ops::LayerNorm& norm, const Visitor& visitor);

}  // namespace gcvit::model
