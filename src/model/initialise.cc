// SPDX-License-Identifier: Apache-2.0
#include "model/initialise.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/random.h"

namespace gcvit::model {
namespace {

constexpr float kNormalDeviation = 0.02f;
constexpr float kInitialLayerScale = 1e-5f;

/// FNV-1a: a parameter's own stream of random numbers.
std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3u;
  return hash;
}

}  // namespace

void initialise(Parameter& parameter, std::uint64_t seed) {
  using ops::Role;
  Tensor tensor(DType::kF32, parameter.dims);
  const std::span<float> values = tensor.mutable_values();
  Random random(seed, stream_of(parameter.name));
  switch (parameter.role) {
    case Role::kLinear:
    case Role::kBiasTable:
      for (float& value : values) value = kNormalDeviation * random.normal();
      break;
    case Role::kConvolution:
    case Role::kDepthwise:
    case Role::kPointwise: {
      const auto fan_in = static_cast<float>(parameter.dims[1] * parameter.dims[2] * parameter.dims[3]);
      const float bound = 1.0f / std::sqrt(fan_in);
      for (float& value : values) value = bound * (2.0f * random.uniform() - 1.0f);
      break;
    }
    case Role::kNormScale: std::fill(values.begin(), values.end(), 1.0f); break;
    case Role::kLayerScale: std::fill(values.begin(), values.end(), kInitialLayerScale); break;
    case Role::kBias:
    case Role::kNormShift: break;  // zeros
  }
  parameter.tensor = std::move(tensor);
  ++parameter.version;
}

void initialise(GCViT& model, std::uint64_t seed) {
  for (Parameter* parameter : model.parameters()) initialise(*parameter, seed);
}

}  // namespace gcvit::model
