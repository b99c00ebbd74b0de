// SPDX-License-Identifier: Apache-2.0
// Elementary functions on vectors, for inclusion per target.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_MATH_INL_H_
#undef GCVIT_KERNELS_MATH_INL_H_
#else
#define GCVIT_KERNELS_MATH_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// x in [low, high]. A NaN stays one on x86, whose minimum and maximum give their second operand then: what went wrong
/// inside the network must reach the logits, where it is seen.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V clamp_keeping_nan(D d, V x, float low, float high) {
  return hn::Min(hn::Set(d, high), hn::Max(hn::Set(d, low), x));
}

/// exp(x) within 2 ulp for x in [-87, 88], which the caller sees to.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exponential_in_range(D d, V x) {
  // exp(x) = 2^n exp(r), r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2]; ln 2 in two parts so that n ln 2 is exact enough.
  // Adding 1.5 2^23 rounds to an integer, and with 127 on top its lowest bits are the exponent of 2^n.
  const hn::RebindToSigned<D> di;
  const V shift = hn::Set(d, 12582912.0f + 127.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), shift);
  const V n = hn::Sub(shifted, shift);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  // A minimax fit, within 1e-7 and 1 at 0.
  V p = hn::Set(d, 0.00829031453f);
  p = hn::MulAdd(p, r, hn::Set(d, 0.0418979298f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.166676362f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.499991496f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.999999708f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

/// exp(x) within 2 ulp for x in [-87, 88]; below it is exp(-87), above exp(88).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exponential(D d, V x) {
  return exponential_in_range(d, clamp_keeping_nan(d, x, -87.0f, 88.0f));
}

/// Where a Phi(-a) is below 1e-9, and `tails` ends.
inline constexpr float kTailsEnd = 6.4f;

/// 2 Phi(-a), both tails of the normal distribution, for a in [0, kTailsEnd]: P(a)^8, P a minimax fit of its eighth root that
/// is 1 at 0. Phi is within 2.5e-7, a Phi(-a) within 1e-7, of which the fit has 4e-9.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tails(D d, V a) {
  V p = hn::Set(d, -3.1955037e-07f);
  p = hn::MulAdd(p, a, hn::Set(d, 8.108536e-06f));
  p = hn::MulAdd(p, a, hn::Set(d, -6.540947e-05f));
  p = hn::MulAdd(p, a, hn::Set(d, 3.6395035e-05f));
  p = hn::MulAdd(p, a, hn::Set(d, 0.001642425f));
  p = hn::MulAdd(p, a, hn::Set(d, -0.00073485606f));
  p = hn::MulAdd(p, a, hn::Set(d, -0.034816563f));
  p = hn::MulAdd(p, a, hn::Set(d, -0.09973539f));
  p = hn::MulAdd(p, a, hn::Set(d, 1.0f));
  p = hn::Mul(p, p);
  p = hn::Mul(p, p);
  return hn::Mul(p, p);
}

/// Whether the minimum and maximum of this target keep a NaN that is their second operand.
inline constexpr bool kMinMaxKeepNan = HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128;

/// `y`, but NaN where `x` is and this target's minimum and maximum may have dropped it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V nan_of(D, V x, V y) {
  return kMinMaxKeepNan ? y : hn::IfThenElse(hn::IsNaN(x), x, y);
}

/// GELU in its exact form, x Phi(x), as torch.nn.GELU() and keras.activations.gelu(approximate=False), as max(x, 0) -
/// |x| Phi(-|x|): within 1e-7 and a rounding of it, and its sign is never wrong.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu(D d, V x) {
  const V a = hn::Min(hn::Set(d, kTailsEnd), hn::Abs(x));
  const V half = hn::Mul(hn::Set(d, 0.5f), a);
  return nan_of(d, x, hn::NegMulAdd(half, tails(d, a), hn::Max(hn::Zero(d), x)));
}

/// GELU'(x) = Phi(x) + x phi(x), the normal distribution and its density; within 1e-6 of it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_derivative(D d, V x) {
  const V half = hn::Set(d, 0.5f);
  const V tail = hn::Mul(half, tails(d, hn::Min(hn::Set(d, kTailsEnd), hn::Abs(x))));
  const V distribution = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail));
  const V density = hn::Mul(hn::Set(d, 0.398942280f), exponential(d, hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f))));
  return hn::MulAdd(x, density, distribution);
}

/// 1 / (1 + exp(-x)); of a NaN one, also where Highway's minimum and maximum drop it, as on Arm and without SIMD.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return nan_of(d, x, hn::Div(one, hn::Add(one, exponential(d, hn::Neg(x)))));
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
