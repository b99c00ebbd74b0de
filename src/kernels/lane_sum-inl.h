// SPDX-License-Identifier: Apache-2.0
// The sum of a vector's lanes in an order of our own, for inclusion per target: Highway's changes with its version.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_LANE_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_LANE_SUM_INL_H_
#undef GCVIT_KERNELS_LANE_SUM_INL_H_
#else
#define GCVIT_KERNELS_LANE_SUM_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The sum of all lanes, of f32 or f64: the upper half is added to the lower one until a lane is left.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE T lane_sum(D, hn::Vec<D> v) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (hn::MaxLanes(D()) * sizeof(T) > 16) {
    const hn::Half<D> half;
    return lane_sum(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  } else if constexpr (hn::MaxLanes(D()) == 4) {
    const hn::Vec<D> pairs = hn::Add(v, hn::Shuffle1032(v));
    return hn::GetLane(hn::Add(pairs, hn::Shuffle0321(pairs)));
  } else if constexpr (hn::MaxLanes(D()) == 2) {
    static_assert(sizeof(T) == 8);
    return hn::GetLane(hn::Add(v, hn::Shuffle01(v)));
  }
#endif
  return hn::GetLane(v);
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
