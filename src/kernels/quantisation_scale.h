// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace gcvit::kernels {

/// What floats of a largest magnitude are multiplied by for their integers, and those again for the floats.
struct QuantisationScale {
  float to_integer;
  float from_integer;
  bool rounds = true;  ///< false: the integers are zeros
};

inline QuantisationScale quantisation_scale(std::int32_t magnitude_bits) {
  constexpr std::int32_t kInfinity = 0x7f800000;
  constexpr std::int32_t kSmallest = (127 - 100) << 23;  // 2^-100: 127 divided by it is finite
  if (magnitude_bits >= kInfinity) return {0.0f, std::numeric_limits<float>::quiet_NaN(), false};
  if (magnitude_bits < kSmallest) return {0.0f, 1.0f, false};
  const auto magnitude = std::bit_cast<float>(magnitude_bits);
  return {127.0f / magnitude, magnitude / 127.0f};
}

}  // namespace gcvit::kernels
