// SPDX-License-Identifier: Apache-2.0
#include "model/parameters.h"

namespace gcvit::model {

using ops::Role;

ops::Linear make_linear(std::int64_t in, std::int64_t out) {
  return {Parameter(Role::kLinear, {out, in}), Parameter(Role::kBias, {out})};
}

ops::Linear make_linear_without_bias(std::int64_t in, std::int64_t out) {
  return {Parameter(Role::kLinear, {out, in}), std::nullopt};
}

ops::Linear make_pointwise(std::int64_t in, std::int64_t out) {
  return {Parameter(Role::kPointwise, {out, in, 1, 1}), std::nullopt};
}

ops::Conv3x3 make_conv3x3(std::int64_t in, std::int64_t out) {
  return {Parameter(Role::kConvolution, {out, in, 3, 3}), std::nullopt};
}

ops::Conv3x3 make_depthwise(std::int64_t channels) {
  return {Parameter(Role::kDepthwise, {channels, 1, 3, 3}), std::nullopt};
}

ops::LayerNorm make_layer_norm(std::int64_t channels) {
  return {Parameter(Role::kNormScale, {channels}), Parameter(Role::kNormShift, {channels})};
}

void visit(ops::Linear& linear, const Visitor& visitor) {
  visitor(linear.weight);
  if (linear.bias) visitor(*linear.bias);
}

void visit(ops::Conv3x3& convolution, const Visitor& visitor) {
  visitor(convolution.weight);
  if (convolution.bias) visitor(*convolution.bias);
}

void visit(ops::LayerNorm& norm, const Visitor& visitor) {
  visitor(norm.weight);
  visitor(norm.bias);
}

}  // namespace gcvit::model
