// SPDX-License-Identifier: Apache-2.0
#include "evaluate/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/weights/test_files.h"

namespace gcvit::evaluate {
namespace {

using Logits = std::vector<float>;

TEST(Metrics, CountsFirstAndFifthPlaces) {
  Metrics metrics(7);
  metrics.add(2, Logits{0, 1, 9, 3, 4, 5, 6});  // first
  metrics.add(3, Logits{0, 1, 9, 3, 4, 5, 6});  // fifth
  metrics.add(1, Logits{0, 1, 9, 3, 4, 5, 6});  // sixth
  metrics.add(6, Logits{0, 1, 9, 3, 4, 5, 6});  // second
  EXPECT_EQ(metrics.count(), 4);
  EXPECT_EQ(metrics.top1_correct(), 1);
  EXPECT_EQ(metrics.top5_correct(), 3);
  EXPECT_DOUBLE_EQ(metrics.top1(), 0.25);
  EXPECT_DOUBLE_EQ(metrics.top5(), 0.75);
  EXPECT_EQ(metrics.confusion(2, 2), 1);
  EXPECT_EQ(metrics.confusion(3, 2), 1);
  EXPECT_EQ(metrics.confusion(2, 3), 0);
  EXPECT_EQ(metrics.per_class()[2].correct, 1);
  EXPECT_EQ(metrics.per_class()[3].count, 1);
  EXPECT_EQ(metrics.per_class()[3].correct, 0);
}

TEST(Metrics, TheCommonestConfusionsComeFirst) {
  Metrics metrics(3);
  for (const auto& [label, said] : {std::pair{0, 1}, {2, 0}, {2, 0}, {1, 1}, {1, 1}, {1, 1}, {1, 0}}) {
    Logits logits(3);
    logits[static_cast<std::size_t>(said)] = 1;
    metrics.add(label, logits);
  }
  const std::vector<Confusion> all = commonest_confusions(metrics, 5);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].row, 2);
  EXPECT_EQ(all[0].column, 0);
  EXPECT_EQ(all[0].count, 2);
  EXPECT_EQ(all[1].row, 0);
  EXPECT_EQ(all[2].row, 1);
  EXPECT_EQ(commonest_confusions(metrics, 1).size(), 1u);
}

TEST(Metrics, AmongEqualsTheLowerIndexIsFirst) {
  Metrics metrics(3);
  metrics.add(0, Logits{1, 1, 1});
  metrics.add(1, Logits{1, 1, 1});
  EXPECT_EQ(metrics.top1_correct(), 1);
  EXPECT_EQ(metrics.confusion(1, 0), 1);
}

TEST(Metrics, LossIsTheMeanCrossEntropy) {
  Metrics metrics(3);
  metrics.add(0, Logits{1, 2, 3});
  metrics.add(2, Logits{1, 2, 3});
  const double log_sum = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0));
  EXPECT_NEAR(metrics.loss(), ((log_sum - 1.0) + (log_sum - 3.0)) / 2.0, 1e-12);
}

TEST(Metrics, BinsHoldWhatTheCalibrationErrorIsTakenOver) {
  Metrics metrics(2);
  metrics.add(0, Logits{9, 0});
  metrics.add(1, Logits{9, 0});
  metrics.add(0, Logits{0.1f, 0});
  const auto& bins = metrics.calibration_bins();
  EXPECT_EQ(bins.back().count, 2);
  EXPECT_EQ(bins.back().correct, 1);
  EXPECT_NEAR(bins.back().confidence_sum, 2.0 / (1.0 + std::exp(-9.0)), 1e-12);
  EXPECT_EQ(bins[7].count, 1);  // 7/15 to 8/15
  EXPECT_EQ(bins[7].correct, 1);
}

TEST(Metrics, LossStaysFiniteForHugeLogits) {
  Metrics metrics(2);
  metrics.add(1, Logits{1e30f, -1e30f});
  EXPECT_NEAR(metrics.loss() / 2e30, 1.0, 1e-6);
}

TEST(Metrics, TemperatureDividesTheLogits) {
  Metrics hot(2, 2.0);
  Metrics plain(2);
  hot.add(0, Logits{4, 2});
  plain.add(0, Logits{2, 1});
  EXPECT_DOUBLE_EQ(hot.loss(), plain.loss());
  EXPECT_DOUBLE_EQ(hot.calibration_error(), plain.calibration_error());
}

/// Two-class logits whose first class has this probability.
Logits with_confidence(double p) { return {static_cast<float>(std::log(p / (1.0 - p))), 0.0f}; }

TEST(Metrics, CalibrationErrorIsTakenOverFifteenBins) {
  Metrics metrics(2);
  // Bin 13, (0.8667, 0.9333]: three photos, confidence 0.9, two right: |2 - 2.7|.
  metrics.add(0, with_confidence(0.9));
  metrics.add(0, with_confidence(0.9));
  metrics.add(1, with_confidence(0.9));
  // Bin 10, (0.6667, 0.7333]: one photo, confidence 0.7, right: |1 - 0.7|.
  metrics.add(0, with_confidence(0.7));
  EXPECT_NEAR(metrics.calibration_error(), (0.7 + 0.3) / 4.0, 1e-6);
  // In one bin together two errors of opposite sign would cancel: 0.6 wrong and 0.62 right share bin 9.
  Metrics same_bin(2);
  same_bin.add(1, with_confidence(0.61));
  same_bin.add(0, with_confidence(0.63));
  EXPECT_NEAR(same_bin.calibration_error(), std::abs(1.0 - 0.61 - 0.63) / 2.0, 1e-6);
}

TEST(Metrics, CertaintyFallsIntoTheLastBin) {
  Metrics metrics(2);
  metrics.add(0, Logits{1000, 0});
  EXPECT_DOUBLE_EQ(metrics.calibration_error(), 0.0);
}

TEST(Metrics, NoImagesGiveZeros) {
  const Metrics metrics(2);
  EXPECT_EQ(metrics.top1(), 0.0);
  EXPECT_EQ(metrics.loss(), 0.0);
  EXPECT_EQ(metrics.calibration_error(), 0.0);
}

TEST(Metrics, RefusesWhatDoesNotFit) {
  Metrics metrics(2);
  EXPECT_NE(weights::error_of([&] { metrics.add(2, Logits{1, 2}); }).find("class 2"), std::string::npos);
  EXPECT_NE(weights::error_of([&] { metrics.add(0, Logits{1, 2, 3}); }).find("3 logits"), std::string::npos);
}

TEST(Metrics, AMillionClassesHaveNoMatrixOfTheirSquare) {
  Metrics metrics(1'000'000);
  Logits logits(1'000'000);
  logits[999'999] = 1;
  metrics.add(999'999, logits);
  metrics.add(3, logits);
  EXPECT_EQ(metrics.confusion(999'999, 999'999), 1);
  EXPECT_EQ(metrics.confusion(3, 3), 0);
  EXPECT_EQ(metrics.confusions().size(), 2u);
  const std::vector<Confusion> all = commonest_confusions(metrics, 5);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].row, 3);
  EXPECT_EQ(all[0].column, 999'999);
}

}  // namespace
}  // namespace gcvit::evaluate
