// SPDX-License-Identifier: Apache-2.0
// What the register blocks of dense products agree on, whatever they are compiled for.
#pragma once

#include <cstdint>

namespace gcvit::kernels {

/// One panel of B and where its results go.
struct Panel {
  const float* b;           ///< [taps * k][b_stride]; halves as load_half_vector has them
  std::int64_t b_stride;    ///< floats between rows of B
  std::int64_t c_offset;    ///< of this panel's first column in the rows of c and residual
  const float* bias;        ///< this panel's; null starts from zero
  const float* gamma;       ///< this panel's, or null
  bool accumulate = false;  ///< add to what c holds
};

/// C[0..rows) = bias + sum over taps and k of a * b, then gamma and residual. `a` points at this block's first row in
/// tap 0; the next tap's pointers lie `a_tap_stride` further.
using GemmBlock = void (*)(const float* const* a, std::int64_t a_tap_stride, std::int32_t taps, std::int32_t k,
                           const Panel& panel, float* const* c, const float* const* residual);

/// The same with A transposed and one tap: C[r] = the sum over i < k of a[i * a_stride + r] * b[i], which `accumulate`
/// adds to C at its end.
using TransposedBlock = void (*)(const float* a, std::int64_t a_stride, std::int64_t k, const Panel& panel,
                                 float* const* c);

}  // namespace gcvit::kernels
