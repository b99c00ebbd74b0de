// SPDX-License-Identifier: Apache-2.0
// Optimiser steps against plain loops in double precision, at every length up to several vectors and a tail.
#include "kernels/optimiser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::InputRows;
using testing::on_every_target;
using testing::OutputRows;

constexpr int kLongest = 70;

/// One output row that starts as `values`.
OutputRows row_of(const float* values, int count) {
  OutputRows row(1, count);
  std::copy_n(values, count, row[0]);
  return row;
}

/// All numbers away from their defaults, so that none is forgotten.
constexpr AdamStep kAdam{.step_size = 0.3,
                         .beta1 = 0.85,
                         .beta2 = 0.97,
                         .epsilon = 0.01,
                         .weight_decay = 0.07,
                         .decay = 0.02,
                         .gradient_scale = 0.6,
                         .ema_decay = 0.9};

TEST(Adam, OfEveryLength) {
  on_every_target([] {
    for (int count = 0; count <= kLongest; ++count) {
      const InputRows start(5, count, 1);
      std::vector<float> second(start[3], start[3] + count);
      for (float& value : second) value = std::abs(value);
      const OutputRows weight = row_of(start[1], count);
      const OutputRows m = row_of(start[2], count);
      const OutputRows v = row_of(second.data(), count);
      const OutputRows ema = row_of(start[4], count);
      adam_step(kAdam, count, start[0], weight[0], m[0], v[0], ema[0]);
      for (int i = 0; i < count; ++i) {
        const double before = start[1][i];
        const double g = 0.6 * start[0][i] + 0.07 * before;
        const double first = 0.85 * start[2][i] + 0.15 * g;
        const double squares = 0.97 * second[static_cast<std::size_t>(i)] + 0.03 * g * g;
        const double after = 0.98 * before - 0.3 * first / (std::sqrt(squares) + 0.01);
        ASSERT_NEAR(m[0][i], first, 1e-6);
        ASSERT_NEAR(v[0][i], squares, 1e-6 * (1 + squares));
        ASSERT_NEAR(weight[0][i], after, 1e-6 * (4 + std::abs(first) / (std::sqrt(squares) + 0.01)));
        ASSERT_NEAR(ema[0][i], 0.9 * start[4][i] + 0.1 * weight[0][i], 1e-6);
      }
      for (const OutputRows* row : {&weight, &m, &v, &ema}) row->expect_guards();
      // Nothing else depends on whether there is an average.
      const OutputRows alone = row_of(start[1], count);
      const OutputRows alone_m = row_of(start[2], count);
      const OutputRows alone_v = row_of(second.data(), count);
      adam_step(kAdam, count, start[0], alone[0], alone_m[0], alone_v[0], nullptr);
      ASSERT_EQ(std::memcmp(alone[0], weight[0], static_cast<std::size_t>(count) * sizeof(float)), 0);
    }
  });
}

TEST(Adam, TheFirstStepMovesEveryWeightByTheLearningRate) {
  on_every_target([] {
    constexpr int kCount = 21;
    const InputRows gradient(1, kCount, 2);
    for (const double beta2 : {0.99, 0.999, 0.9999}) {
      std::vector<float> weight(kCount, 1.0f);
      std::vector<float> m(kCount, 0.0f);
      std::vector<float> v(kCount, 0.0f);
      adam_step({.step_size = 1e-3 * std::sqrt(1 - beta2) / (1 - 0.9), .beta1 = 0.9, .beta2 = beta2, .epsilon = 0.0},
                kCount, gradient[0], weight.data(), m.data(), v.data(), nullptr);
      for (int i = 0; i < kCount; ++i) {
        EXPECT_NEAR(weight[static_cast<std::size_t>(i)], 1.0 - std::copysign(1e-3, gradient[0][i]), 1e-7);
      }
    }
  });
}

TEST(Sgd, OfEveryLengthOverTwoSteps) {
  on_every_target([] {
    for (int count = 0; count <= kLongest; ++count) {
      for (const bool nesterov : {false, true}) {
        for (const double momentum : {0.0, 0.9}) {
          const SgdStep step{.learning_rate = 0.1,
                             .momentum = momentum,
                             .nesterov = nesterov,
                             .weight_decay = 0.05,
                             .gradient_scale = 0.5,
                             .ema_decay = 0.75};
          const InputRows gradients(2, count, 3);
          const InputRows start(2, count, 4);
          const OutputRows weight = row_of(start[0], count);
          const OutputRows ema = row_of(start[1], count);
          const OutputRows b = row_of(std::vector<float>(static_cast<std::size_t>(count), 0.0f).data(), count);
          for (int t = 0; t < 2; ++t) {
            sgd_step(step, count, gradients[t], weight[0], momentum == 0.0 ? nullptr : b[0], ema[0]);
          }
          for (int i = 0; i < count; ++i) {
            double expected = start[0][i];
            double average = start[1][i];
            double velocity = 0.0;
            for (int t = 0; t < 2; ++t) {
              const double g = 0.5 * gradients[t][i] + 0.05 * expected;
              velocity = momentum * velocity + g;
              expected -= 0.1 * (nesterov ? g + momentum * velocity : velocity);
              average = 0.75 * average + 0.25 * expected;
            }
            ASSERT_NEAR(weight[0][i], expected, 2e-6) << "momentum " << momentum << ", nesterov " << nesterov;
            ASSERT_NEAR(ema[0][i], average, 2e-6);
            ASSERT_NEAR(b[0][i], momentum == 0.0 ? 0.0 : velocity, 2e-6);
          }
          for (const OutputRows* row : {&weight, &ema, &b}) row->expect_guards();
        }
      }
    }
  });
}

TEST(SquaredNorm, OfEveryLengthAndFarBeyondFloat) {
  on_every_target([] {
    for (int count = 0; count <= kLongest; ++count) {
      const InputRows x(1, count, 5);
      double expected = 0.0;
      for (int i = 0; i < count; ++i) expected += double{x[0][i]} * x[0][i];
      ASSERT_NEAR(squared_norm(x[0], count), expected, 1e-14 * expected);
    }
    const std::vector<float> large(19, 1e30f);
    EXPECT_NEAR(squared_norm(large.data(), 19) / (19.0 * 1e30f * 1e30f), 1.0, 1e-14);
  });
}

TEST(AllFinite, FindsTheOneThatIsNotWhereverItIs) {
  on_every_target([] {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    constexpr float kLargest = std::numeric_limits<float>::max();
    for (int count = 0; count <= kLongest; ++count) {
      const InputRows random(1, count, 6);
      const OutputRows x = row_of(random[0], count);
      ASSERT_TRUE(all_finite(x[0], count)) << "of " << count;
      for (int i = 0; i < count; ++i) {
        for (const float value : {kInfinity, -kInfinity, kNan, -kNan}) {
          x[0][i] = value;
          ASSERT_FALSE(all_finite(x[0], count)) << value << " as number " << i << " of " << count;
        }
        x[0][i] = i % 2 == 0 ? kLargest : -kLargest;
        ASSERT_TRUE(all_finite(x[0], count)) << "of " << count;
      }
    }
  });
}

}  // namespace
}  // namespace gcvit::kernels
