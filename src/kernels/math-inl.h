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

/// exp(x) within 2 ulp for x in [-87, 88]; below it is exp(-87), above exp(88).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exponential(D d, V x) {
  // exp(x) = 2^n exp(r), r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2]; ln 2 in two parts so that n ln 2 is exact enough.
  const hn::RebindToSigned<D> di;
  x = clamp_keeping_nan(d, x, -87.0f, 88.0f);
  const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 1.0f / 5040);
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::Mul(p, hn::BitCast(d, exponent));
}

/// erf(x) within 4e-7 and never beyond 1: x P(x^2) / Q(x^2) on [-4, 4], +-1 beyond. P and Q are a minimax fit of degree
/// (5, 5), within 4e-8; the rest is rounding, which near 4 would else end above 1 and turn GELU's sign.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V error_function(D d, V x) {
  x = clamp_keeping_nan(d, x, -4.0f, 4.0f);
  const V t = hn::Mul(x, x);
  V p = hn::Set(d, 1.97775603e-06f);
  p = hn::MulAdd(p, t, hn::Set(d, 2.86770316e-04f));
  p = hn::MulAdd(p, t, hn::Set(d, 3.96310908e-03f));
  p = hn::MulAdd(p, t, hn::Set(d, 5.33458248e-02f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.95348459e-01f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.12837909f));
  V q = hn::Set(d, 3.74431422e-05f);
  q = hn::MulAdd(q, t, hn::Set(d, 1.20575486e-03f));
  q = hn::MulAdd(q, t, hn::Set(d, 1.53653509e-02f));
  q = hn::MulAdd(q, t, hn::Set(d, 1.16101016e-01f));
  q = hn::MulAdd(q, t, hn::Set(d, 5.06454963e-01f));
  q = hn::MulAdd(q, t, hn::Set(d, 1.0f));
  return clamp_keeping_nan(d, hn::Div(hn::Mul(x, p), q), -1.0f, 1.0f);
}

/// GELU in its exact form, x/2 (1 + erf(x / sqrt 2)), as torch.nn.GELU() and keras.activations.gelu(approximate=False).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu(D d, V x) {
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, error_function(d, hn::Mul(x, hn::Set(d, 0.707106781f))), half);
}

/// GELU'(x) = Phi(x) + x phi(x), the normal distribution and its density; within 1e-6 of it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_derivative(D d, V x) {
  const V half = hn::Set(d, 0.5f);
  const V distribution = hn::MulAdd(half, error_function(d, hn::Mul(x, hn::Set(d, 0.707106781f))), half);
  const V density = hn::Mul(hn::Set(d, 0.398942280f), exponential(d, hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f))));
  return hn::MulAdd(x, density, distribution);
}

/// 1 / (1 + exp(-x)); of a NaN one, also where Highway's minimum and maximum drop it, as on Arm and without SIMD.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V y = hn::Div(one, hn::Add(one, exponential(d, hn::Neg(x))));
  constexpr bool kKeepsNan = HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128;
  return kKeepsNan ? y : hn::IfThenElse(hn::IsNaN(x), x, y);
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
