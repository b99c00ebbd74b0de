// SPDX-License-Identifier: Apache-2.0
// Layers of given sizes, named, without values.
#pragma once

#include <string>

#include "ops/parameter.h"

namespace gcvit::ops::testing {

inline Parameter parameter(const std::string& name, Role role, Dims dims) {
  Parameter made(role, std::move(dims));
  made.name = name;
  return made;
}

inline Linear linear(const std::string& name, std::int64_t in, std::int64_t out) {
  return {parameter(name, Role::kLinear, {out, in}), parameter(name + ".bias", Role::kBias, {out})};
}

inline Conv3x3 convolution(const std::string& name, std::int64_t in, std::int64_t out) {
  return {parameter(name, Role::kConvolution, {out, in, 3, 3}), std::nullopt};
}

inline LayerNorm layer_norm(const std::string& name, std::int64_t channels) {
  return {parameter(name, Role::kNormScale, {channels}), parameter(name + ".bias", Role::kNormShift, {channels})};
}

}  // namespace gcvit::ops::testing
