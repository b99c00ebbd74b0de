// SPDX-License-Identifier: Apache-2.0
// Rows of A rounded for their weights: every form, every tail, against plain rounding.
#include "kernels/operand.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/half.h"
#include "kernels/bf16_pairs.h"
#include "kernels/gemm_i8.h"
#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::in_every_bf16_form;
using testing::InputRows;
using testing::on_every_target;
using testing::random_floats;

constexpr float kUntouched = 1234.5f;

/// The operand of the rows, filled up behind with what nobody may have touched.
std::vector<float> rounded(const PackedWeights& weights, const float* const* a, int count) {
  std::vector<float> operand(static_cast<std::size_t>(count * operand_stride(weights)) + 40, kUntouched);
  round_operand(weights, a, count, operand.data());
  return operand;
}

void expect_untouched(const std::vector<float>& operand, std::size_t from) {
  for (std::size_t i = from; i < operand.size(); ++i) ASSERT_EQ(operand[i], kUntouched) << i;
}

PackedWeights bf16_weights(int taps, int k) {
  return pack_weights(random_floats(std::int64_t{taps} * k, 1).data(), nullptr, 1, taps, k, Precision::kBf16);
}

PackedWeights i8_weights(int taps, int k) {
  const std::vector<std::int8_t> q(static_cast<std::size_t>(taps * k), 1);
  const float scale = 1.0f;
  return pack_i8_weights(q.data(), &scale, nullptr, 1, taps, k);
}

/// Number `i` of an int8 row.
int integer_of(const PackedWeights& weights, const float* row, int i) {
  switch (weights.form) {
    case OperandForm::kI8Pairs: {
      std::int16_t number;
      std::memcpy(&number, reinterpret_cast<const char*>(row) + 2 * i, sizeof number);
      return number;
    }
    case OperandForm::kI8Quads: return reinterpret_cast<const unsigned char*>(row)[i] - 128;
    default: {
      std::int32_t number;
      std::memcpy(&number, row + i, sizeof number);
      return number;
    }
  }
}

TEST(RoundOperand, Bf16RoundsEachFloat) {
  in_every_bf16_form([] {
    for (int k = 1; k <= 100; ++k) {
      constexpr int kTaps = 2;
      constexpr int kCount = 3;
      const PackedWeights weights = bf16_weights(kTaps, k);
      const InputRows a(kTaps * kCount, k, 2);
      const std::vector<float> operand = rounded(weights, a.pointers(), kCount);
      const std::int64_t stride = operand_stride(weights);
      ASSERT_EQ(stride, kTaps * weights.depth());
      for (int row = 0; row < kCount; ++row) {
        for (int tap = 0; tap < kTaps; ++tap) {
          const float* const from = operand.data() + row * stride + tap * weights.depth();
          for (int i = 0; i < k; ++i) {
            const float found = weights.form == OperandForm::kRounded ? from[i] : half_of_pair(from[i / 2], i % 2 != 0);
            ASSERT_EQ(found, f32_from_bf16(bf16_from_f32(a[tap * kCount + row][i]))) << k << " " << row << " " << i;
          }
          if (weights.form != OperandForm::kRounded && k % 2 != 0) {
            ASSERT_EQ(half_of_pair(from[k / 2], true), 0.0f);
          }
        }
      }
      expect_untouched(operand, static_cast<std::size_t>(kCount * stride));
    }
  });
}

TEST(RoundOperand, Int8RoundsEachRowByItsOwnScale) {
  on_every_target([] {
    for (const int k : {1, 3, 4, 7, 16, 17, 31, 32, 48, 64, 80, 100, 128, 144, 192}) {
      for (const int taps : {1, 3}) {
        constexpr int kCount = 4;
        const PackedWeights weights = i8_weights(taps, k);
        InputRows a(taps * kCount, k, 3);
        for (int tap = 0; tap < taps; ++tap) {
          for (int i = 0; i < k; ++i) a.set(tap * kCount + 2, i, 0.0f);
        }
        a.set(3, k / 2, std::numeric_limits<float>::quiet_NaN());
        const std::vector<float> operand = rounded(weights, a.pointers(), kCount);
        const std::int64_t stride = operand_stride(weights);
        for (int row = 0; row < 2; ++row) {
          float most = 0.0f;
          for (int tap = 0; tap < taps; ++tap) {
            for (int i = 0; i < k; ++i) most = std::max(most, std::abs(a[tap * kCount + row][i]));
          }
          const float* const from = operand.data() + row * stride;
          ASSERT_EQ(from[stride - 1], most / 127.0f);
          for (int i = 0; i < taps * k; ++i) {
            const float value = a[i / k * kCount + row][i % k];
            ASSERT_EQ(integer_of(weights, from, i), static_cast<int>(std::nearbyint(value * (127.0f / most))))
                << k << " " << row << " " << i;
          }
        }
        ASSERT_EQ(operand[static_cast<std::size_t>(3 * stride - 1)], 1.0f);
        for (int i = 0; i < taps * k; ++i) ASSERT_EQ(integer_of(weights, operand.data() + 2 * stride, i), 0);
        ASSERT_TRUE(std::isnan(operand[static_cast<std::size_t>(4 * stride - 1)]));
        expect_untouched(operand, static_cast<std::size_t>(kCount * stride));
      }
    }
  });
}

TEST(RoundOperand, ProductsTakeItInsteadOfTheRows) {
  in_every_bf16_form([] {
    constexpr int kCount = 29;
    constexpr int kDepth = 48;
    const int columns = 2 * panel_width() + 3;
    const std::vector<float> values = random_floats(std::int64_t{columns} * kDepth, 4);
    std::vector<std::int8_t> q(values.size());
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<std::int8_t>(i % 255 - 127);
    const std::vector<float> scales(static_cast<std::size_t>(columns), 0.01f);
    const PackedWeights of_bf16 = pack_weights(values.data(), nullptr, columns, 1, kDepth, Precision::kBf16);
    const PackedWeights of_i8 = pack_i8_weights(q.data(), scales.data(), nullptr, columns, 1, kDepth);
    for (const PackedWeights* weights : {&of_bf16, &of_i8}) {
      const InputRows a(kCount, kDepth, 5);
      const testing::OutputRows at_once(kCount, columns);
      const testing::OutputRows apart(kCount, columns);
      gemm(*weights, {.a = a.pointers(), .c = at_once.pointers(), .count = kCount}, {}, 0, panel_count(columns));
      AlignedBuffer operand(operand_size(*weights, kCount));
      round_operand(*weights, a.pointers(), kCount, operand.data());
      gemm(*weights, {.a = nullptr, .c = apart.pointers(), .count = kCount, .operand = operand.data()}, {}, 0,
           panel_count(columns));
      for (int row = 0; row < kCount; ++row) {
        ASSERT_EQ(std::memcmp(at_once[row], apart[row], static_cast<std::size_t>(columns) * sizeof(float)), 0) << row;
      }
    }
  });
}

TEST(RoundOperand, FloatsHaveNone) {
  const std::vector<float> values = random_floats(8, 6);
  const PackedWeights weights = pack_weights(values.data(), nullptr, 1, 1, 8);
  EXPECT_EQ(operand_stride(weights), 0);
  EXPECT_EQ(operand_size(weights, 100), 0);
}

}  // namespace
}  // namespace gcvit::kernels
