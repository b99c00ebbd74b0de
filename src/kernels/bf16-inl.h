// SPDX-License-Identifier: Apache-2.0
// Floats rounded to bfloat16, for inclusion per target.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_BF16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_BF16_INL_H_
#undef GCVIT_KERNELS_BF16_INL_H_
#else
#define GCVIT_KERNELS_BF16_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "kernels/bf16_pairs.h"
#include "kernels/bf16_tiles.h"
#include "kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The form that operands of a product in this precision have under this target.
inline OperandForm operand_form(Precision precision) {
  if (precision == Precision::kF32) return OperandForm::kF32;
#if HWY_TARGET == HWY_AVX3
  if (has_bf16_tiles()) return OperandForm::kTiles;
  if (has_bf16_pairs()) return OperandForm::kPairs;
#endif
  return precision == Precision::kBf16 ? OperandForm::kRounded : OperandForm::kHalves;
}

/// The nearest bfloat16, ties to even, as a float; NaN stays NaN.
template <class D, class V>
HWY_INLINE V rounded(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto up = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
  const auto nan = hn::MaskFromVec(hn::BitCast(du, hn::VecFromMask(d, hn::IsNaN(x))));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x00400000));
  return hn::BitCast(d, hn::And(hn::IfThenElse(nan, quiet, up), hn::Set(du, 0xffff0000u)));
}

/// Two of them in each lane, `even` in the lower half.
template <class D, class V>
HWY_INLINE V paired(D d, V even, V odd) {
  const hn::RebindToUnsigned<D> du;
  const auto low = hn::ShiftRight<16>(hn::BitCast(du, rounded(d, even)));
  return hn::BitCast(d, hn::Or(low, hn::BitCast(du, rounded(d, odd))));
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
