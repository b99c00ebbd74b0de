// SPDX-License-Identifier: Apache-2.0
// Loops over channels whose last vector is partial, for inclusion per target.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_PARTIAL_INL_H_
#undef GCVIT_KERNELS_PARTIAL_INL_H_
#else
#define GCVIT_KERNELS_PARTIAL_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A whole vector's loads and stores.
struct WholeVector {
  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, const float* from) const {
    return hn::LoadU(d, from);
  }
  template <class D>
  HWY_INLINE void store(D d, hn::Vec<D> v, float* to) const {
    hn::StoreU(v, d, to);
  }
  /// `v` with zeros in the lanes that lie beyond the end.
  template <class D>
  HWY_INLINE hn::Vec<D> keep(D, hn::Vec<D> v) const {
    return v;
  }
};

/// The first `count` lanes' loads (the others are zero) and stores. Through a copy where the target has no masks: what
/// Highway has for them there wants aligned addresses and touches what lies beyond the end.
struct FirstLanes {
  std::size_t count;
  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, const float* from) const {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
    HWY_ALIGN float whole[hn::MaxLanes(D())] = {};
    std::copy_n(from, count, whole);
    return hn::Load(d, whole);
#endif
  }
  template <class D>
  HWY_INLINE void store(D d, hn::Vec<D> v, float* to) const {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#else
    HWY_ALIGN float whole[hn::MaxLanes(D())];
    hn::Store(v, d, whole);
    std::copy_n(whole, count, to);
#endif
  }
  template <class D>
  HWY_INLINE hn::Vec<D> keep(D d, hn::Vec<D> v) const {
    return hn::IfThenElseZero(hn::FirstN(d, count), v);
  }
};

/// Calls body(index, part) for every vector of `count` floats; `part` loads and stores what there is of it.
template <class D, typename Body>
HWY_INLINE void for_each_vector(D d, std::int64_t count, const Body& body) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, WholeVector{});
  if (i < count) body(i, FirstLanes{static_cast<std::size_t>(count - i)});
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
