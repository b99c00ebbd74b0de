// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>

#include "base/tensor.h"

namespace gcvit::formats {

/// A copy with its axes in another order, as numpy.transpose has it: axis i of the result is axis `axes[i]` of
/// `tensor`. The dtype stays. Throws `Error` unless `axes` is an order of the tensor's axes.
///
/// From Keras' and JAX' kernels to ours: {1, 0} for [in, out]; {3, 2, 0, 1} for [kh, kw, in, out].
Tensor permuted(const Tensor& tensor, std::initializer_list<std::size_t> axes);

}  // namespace gcvit::formats
