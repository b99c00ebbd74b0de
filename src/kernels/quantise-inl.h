// SPDX-License-Identifier: Apache-2.0
// Floats rounded to int8 by a scale of their own, for inclusion per target; the same integers on each.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_QUANTISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_QUANTISE_INL_H_
#undef GCVIT_KERNELS_QUANTISE_INL_H_
#else
#define GCVIT_KERNELS_QUANTISE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/quantisation_scale.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The largest magnitude among `count` floats and `most`, as its bits: in the order of integers, where infinity and NaN
/// are above all others.
inline std::int32_t largest_magnitude_bits(const float* from, std::int64_t count, std::int32_t most) {
  const hn::ScalableTag<std::int32_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const hn::RebindToFloat<decltype(d)> df;
  const auto magnitude = hn::Set(d, 0x7fffffff);
  const auto bits = [&](std::int64_t i)
                        HWY_ATTR { return hn::And(hn::BitCast(d, hn::LoadU(df, from + i)), magnitude); };
  if (count < lanes) {
    for (std::int64_t i = 0; i < count; ++i) {
      most = std::max(most, std::bit_cast<std::int32_t>(from[i]) & 0x7fffffff);
    }
    return most;
  }
  auto even = hn::Set(d, most);
  auto odd = even;
  std::int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    even = hn::Max(even, bits(i));
    odd = hn::Max(odd, bits(i + lanes));
  }
  if (i + lanes <= count) even = hn::Max(even, bits(i));
  odd = hn::Max(odd, bits(count - lanes));
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(even, odd)));
}

/// to[i] = the nearest integer, ties to even, of from[i] * scale, plus 128 where `T` is unsigned. The products are within
/// 127 and a rounding or two, so none needs to be clamped.
template <class T>
void quantise(const float* from, std::int64_t count, float scale, T* to) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  // Added to a number within 2^22, it leaves the integer nearest to it in the lower bits of the sum.
  constexpr float kRounder = 0x1.8p23f;
  constexpr std::int32_t kBase = std::bit_cast<std::int32_t>(kRounder) - (std::is_unsigned_v<T> ? 128 : 0);
  const auto factor = hn::Set(df, scale);
  const auto rounder = hn::Set(df, kRounder);
  const auto base = hn::Set(d, kBase);
  const auto integers = [&](std::int64_t i) HWY_ATTR {
    const auto shifted = hn::Add(hn::Mul(hn::LoadU(df, from + i), factor), rounder);
    return hn::Sub(hn::BitCast(d, shifted), base);
  };
  const auto put = [&](std::int64_t i) HWY_ATTR {
    if constexpr (std::is_same_v<T, std::int32_t>) {
      hn::StoreU(integers(i), d, to + i);
    } else {
      const hn::Rebind<T, decltype(d)> dt;
      hn::StoreU(hn::DemoteTo(dt, integers(i)), dt, to + i);
    }
  };
  if (count < lanes) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float shifted = from[i] * scale + kRounder;
      to[i] = static_cast<T>(std::bit_cast<std::int32_t>(shifted) - kBase);
    }
    return;
  }
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) put(i);
  if (i < count) put(count - lanes);
}

/// Rounds a row that lies in pieces of `k` floats, pieces[0], pieces[stride], ..., as a whole, and fills it up with zeros
/// to `room` numbers. Returns what its integers are multiplied by.
template <class T>
float quantise_row(const float* const* pieces, std::int64_t stride, std::int64_t count, std::int64_t k,
                   std::int64_t room, T* to) {
  std::int32_t magnitude_bits = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    magnitude_bits = largest_magnitude_bits(pieces[i * stride], k, magnitude_bits);
  }
  const QuantisationScale scale = quantisation_scale(magnitude_bits);
  const std::int64_t rounded = scale.rounds ? count * k : 0;
  for (std::int64_t i = 0; i < count && scale.rounds; ++i) {
    quantise(pieces[i * stride], k, scale.to_integer, to + i * k);
  }
  std::fill(to + rounded, to + room, static_cast<T>(std::is_unsigned_v<T> ? 128 : 0));
  return scale.from_integer;
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
