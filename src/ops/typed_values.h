// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/tensor.h"

namespace gcvit::ops {

/// The values of a parameter in the type that a file or a packed model keeps them in.
struct TypedValues {
  Tensor values;  ///< f32, f16, bf16 or i8, in the parameter's dims
  Tensor
      scales;  ///< of i8: f32 [out channels], where a value is its integer times its output channel's scale; else empty
};

/// The f32 values that they stand for.
Tensor to_f32(const TypedValues& typed);

}  // namespace gcvit::ops
