// SPDX-License-Identifier: Apache-2.0
// Both 16-bit formats over all their values, and the rounding to them at every boundary between two values.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gcvit {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

/// The value of a binary16 by its definition.
double f16_value(int bits) {
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = bits >> 10 & 0x1f;
  const int mantissa = bits & 0x3ff;
  return exponent == 0 ? sign * std::ldexp(mantissa, -24) : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Half, EveryF16HasItsValueAndComesBack) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = f32_from_f16(half);
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    if ((bits & 0x7fff) > 0x7c00) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_EQ(f16_from_f32(value) & 0xfc00, (bits & 0x8000) | 0x7c00) << bits;
      ASSERT_NE(f16_from_f32(value) & 0x3ff, 0) << bits;
      continue;
    }
    if ((bits & 0x7fff) == 0x7c00) {
      ASSERT_TRUE(std::isinf(value)) << bits;
    } else {
      ASSERT_EQ(value, f16_value(bits)) << bits;
    }
    ASSERT_EQ(f16_from_f32(value), half) << bits;
  }
}

TEST(Half, F16RoundsToNearestEvenBetweenAnyTwoNeighbours) {
  // 0x7bff is the largest finite value; above it lies what would be 2^16, where infinity stands.
  for (int low = 0; low < 0x7c00; ++low) {
    const int high = low + 1;
    const double upper = high == 0x7c00 ? 65536.0 : f16_value(high);
    const auto middle = static_cast<float>((f16_value(low) + upper) / 2);  // exact: one bit more than a half has
    const int even = low % 2 == 0 ? low : high;
    for (const int sign : {0, 0x8000}) {
      const float factor = sign == 0 ? 1.0f : -1.0f;
      ASSERT_EQ(f16_from_f32(factor * middle), sign | even) << low;
      ASSERT_EQ(f16_from_f32(factor * std::nextafter(middle, 0.0f)), sign | low) << low;
      ASSERT_EQ(f16_from_f32(factor * std::nextafter(middle, kInfinity)), sign | high) << low;
    }
  }
}

TEST(Half, F16Extremes) {
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(f16_from_f32(-kInfinity), 0xfc00);
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f16_from_f32(-0.0f), 0x8000);
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::quiet_NaN()) & 0x7e00, 0x7e00);
}

TEST(Half, EveryBf16HasItsBitsAndComesBack) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto brain = static_cast<std::uint16_t>(bits);
    const float value = f32_from_bf16(brain);
    ASSERT_EQ(bits_of(value), static_cast<std::uint32_t>(bits) << 16);
    if (std::isnan(value)) {
      ASSERT_EQ(bf16_from_f32(value), bits | 0x40) << bits;  // quiet
    } else {
      ASSERT_EQ(bf16_from_f32(value), brain) << bits;
    }
  }
}

TEST(Half, Bf16RoundsToNearestEvenBetweenAnyTwoNeighbours) {
  for (std::uint32_t low = 0; low < 0x7f80; ++low) {
    const std::uint32_t middle = low << 16 | 0x8000;
    const std::uint32_t even = low + low % 2;
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const auto rounded = [&](std::uint32_t bits) { return bf16_from_f32(std::bit_cast<float>(bits | sign << 16)); };
      ASSERT_EQ(rounded(middle), sign | even) << low;
      ASSERT_EQ(rounded(middle - 1), sign | low) << low;
      ASSERT_EQ(rounded(middle + 1), sign | (low + 1)) << low;
    }
  }
  // A NaN whose payload lies below the bits that stay must not become infinity.
  EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_from_f32(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace gcvit
