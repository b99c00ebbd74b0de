// SPDX-License-Identifier: Apache-2.0
// Activations of blocks of a dense product, for inclusion per target.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_ACTIVATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_ACTIVATE_INL_H_
#undef GCVIT_KERNELS_ACTIVATE_INL_H_
#else
#define GCVIT_KERNELS_ACTIVATE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "kernels/gemm-inl.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

/// Applies the activation to a block that has just been stored and is still in L1, to two vectors at a time.
template <typename Function>
HWY_INLINE void activate(const Function& function, float* const* c, std::int64_t c_offset, std::int32_t rows,
                         std::int32_t vectors) {
  const FloatTag d;
  for (std::int32_t r = 0; r < rows; ++r) {
    float* const first = c[r] + c_offset;
    if (vectors == 1) {
      hn::StoreU(function(hn::LoadU(d, first)), d, first);
      continue;
    }
    static_assert(kPanelVectors == 2);
    float* const second = first + hn::Lanes(d);
    const FloatVec x = hn::LoadU(d, first);
    const FloatVec y = hn::LoadU(d, second);
    hn::StoreU(function(x), d, first);
    hn::StoreU(function(y), d, second);
  }
}

/// Likewise, the activation by its name; none for kNone.
inline void activate(GemmActivation activation, float* const* c, std::int64_t c_offset, std::int32_t rows,
                     std::int32_t vectors) {
  const FloatTag d;
  if (activation == GemmActivation::kGelu) {
    activate([d](FloatVec x) HWY_ATTR { return gelu(d, x); }, c, c_offset, rows, vectors);
  } else if (activation == GemmActivation::kSigmoid) {
    activate([d](FloatVec x) HWY_ATTR { return sigmoid(d, x); }, c, c_offset, rows, vectors);
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
