// SPDX-License-Identifier: Apache-2.0
#include "base/softmax.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace gcvit {
namespace {

constexpr std::array<float, 3> kLogits = {1.0f, 3.0f, 2.0f};

TEST(Softmax, IsTheShareOfEachExponential) {
  const double sum = std::exp(1.0) + std::exp(3.0) + std::exp(2.0);
  const std::vector<double> probabilities = softmax(kLogits);
  ASSERT_EQ(probabilities.size(), 3u);
  EXPECT_NEAR(probabilities[0], std::exp(1.0) / sum, 1e-15);
  EXPECT_NEAR(probabilities[1], std::exp(3.0) / sum, 1e-15);
  EXPECT_NEAR(probabilities[2], std::exp(2.0) / sum, 1e-15);
}

TEST(Softmax, DividesLogitsByTheTemperature) {
  const std::array<float, 3> halved = {0.5f, 1.5f, 1.0f};
  EXPECT_EQ(softmax(kLogits, 2.0), softmax(halved));
  EXPECT_NEAR(softmax_denominator(kLogits, 2.0), 1.0 + std::exp(-0.5) + std::exp(-1.0), 1e-15);
}

TEST(Softmax, DoesNotOverflow) {
  const std::array<float, 2> logits = {1e30f, -1e30f};
  EXPECT_EQ(softmax(logits), (std::vector<double>{1.0, 0.0}));
  EXPECT_EQ(softmax_denominator(logits), 1.0);
}

TEST(Softmax, LogarithmsKeepWhatProbabilitiesLose) {
  const std::array<float, 2> logits = {1000.0f, 0.0f};
  std::array<double, 2> logs;
  log_softmax(logits, 1.0, logs);
  EXPECT_EQ(logs[0], 0.0);
  EXPECT_EQ(logs[1], -1000.0);
  std::array<double, 3> three;
  log_softmax(kLogits, 1.0, three);
  const std::vector<double> probabilities = softmax(kLogits);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(std::exp(three[i]), probabilities[i], 1e-15);
}

}  // namespace
}  // namespace gcvit
