// SPDX-License-Identifier: Apache-2.0
// The product behind a weight's gradient, C += A^T B: the sum over rows n of the outer products of a[n] and b[n].
#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace gcvit::kernels {

struct WeightGradient {
  const float* const* a;  ///< [count] rows: gradients of a layer's outputs
  const float* const* b;  ///< [count] rows: the layer's inputs
  std::int64_t count;
  float* c;  ///< [output channels][c_stride], added to
  std::int64_t c_stride;
  /// The piece of C to compute.
  std::int32_t first_row, rows;
  std::int32_t first_column, columns;
  float* scratch;  ///< weight_gradient_scratch_size() floats, 64-byte aligned
  Precision precision = Precision::kF32;
};

/// Floats of scratch that the product needs, whatever its sizes; a multiple of 16.
std::int64_t weight_gradient_scratch_size();

/// An element's sum runs over n in order, in chunks that `count` alone decides, whose sums are added to c one after
/// the other: it doesn't depend on which rows and columns of a larger C are computed together.
void weight_gradient(const WeightGradient& product);

}  // namespace gcvit::kernels
