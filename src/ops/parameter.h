// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/tensor.h"
#include "ops/typed_values.h"

namespace gcvit::ops {

/// What a parameter is for: decides its initial value, weight decay and how another layout stores it.
enum class Role : std::uint8_t {
  kConvolution,  ///< [out, in, kh, kw]
  kDepthwise,    ///< [channels, 1, kh, kw]
  kLinear,       ///< [out, in]
  kPointwise,    ///< [out, in, 1, 1]: a 1x1 convolution
  kBias,         ///< [out]
  kNormScale,    ///< [channels], initially 1
  kNormShift,    ///< [channels], initially 0
  kBiasTable,    ///< [(2h-1)(2w-1), heads]: relative position bias
  kLayerScale,   ///< [channels]: gamma of a residual branch
};

/// One learned tensor, in PyTorch's layout. The model owns it; a backend may keep a packed form of it by `id` and
/// must pack anew when `version` has changed.
struct Parameter {
  std::string name;  ///< canonical (NVlabs') name, e.g. "levels.0.blocks.1.attn.qkv.weight"
  Role role = Role::kLinear;
  Dims dims;
  std::int32_t id = -1;
  std::uint64_t version = 0;
  Tensor tensor;  ///< f32 (in the file's type where that was asked for); empty until weights are loaded or initialised
  Tensor scales;  ///< of an i8 tensor, as TypedValues has them; else empty

  Parameter() = default;
  Parameter(Role parameter_role, Dims parameter_dims) : role(parameter_role), dims(std::move(parameter_dims)) {}
};

/// Fully connected layer or 1x1 convolution: y = x W^T + b.
struct Linear {
  Parameter weight;
  std::optional<Parameter> bias;
};

/// 3x3 convolution, padding 1: stride 2 and full, or stride 1 and depthwise, by the operation that takes it.
struct Conv3x3 {
  Parameter weight;
  std::optional<Parameter> bias;
};

/// Layer normalisation over channels, eps 1e-5.
struct LayerNorm {
  Parameter weight;
  Parameter bias;
};

inline constexpr float kLayerNormEpsilon = 1e-5f;

}  // namespace gcvit::ops
