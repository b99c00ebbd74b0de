// SPDX-License-Identifier: Apache-2.0
#include "evaluate/temperature.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "base/softmax.h"
#include "tests/weights/test_files.h"

namespace gcvit::evaluate {
namespace {

using Logits = std::vector<float>;

/// Photos whose labels are drawn from softmax(logits / temperature).
LabelledLogits drawn(double temperature, std::size_t images, std::int32_t classes, std::uint64_t seed) {
  Random random(seed, 0);
  LabelledLogits all(classes);
  Logits logits(static_cast<std::size_t>(classes));
  for (std::size_t image = 0; image < images; ++image) {
    for (float& logit : logits) logit = 3.0f * random.normal();
    const std::vector<double> probabilities = softmax(logits, temperature);
    double rest = random.uniform();
    std::int32_t label = 0;
    while (label + 1 < classes && rest >= probabilities[static_cast<std::size_t>(label)]) {
      rest -= probabilities[static_cast<std::size_t>(label++)];
    }
    all.add(label, logits);
  }
  return all;
}

TEST(Temperature, FindsTheOneThatLabelsWereDrawnWith) {
  for (const double truth : {0.5, 1.0, 2.5, 6.0}) {
    const LabelledLogits images = drawn(truth, 20000, 6, 7);
    const double fitted = fit_temperature(images).value();
    EXPECT_NEAR(fitted / truth, 1.0, 0.08) << truth;
    EXPECT_EQ(fit_temperature(images), fitted);
    EXPECT_LE(images.metrics(fitted).loss(), images.metrics(truth).loss());
  }
}

TEST(Temperature, IsWhereTheLossIsLeast) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const LabelledLogits images = drawn(1.5, 25, 4, seed);
    const double fitted = fit_temperature(images).value();
    const double least = images.metrics(fitted).loss();
    EXPECT_GE(images.metrics(fitted * 1.001).loss(), least) << seed;
    EXPECT_GE(images.metrics(fitted / 1.001).loss(), least) << seed;
  }
}

TEST(Temperature, CalibrationErrorFallsAndAccuracyStays) {
  const LabelledLogits images = drawn(3.0, 5000, 5, 11);
  const double fitted = fit_temperature(images).value();
  EXPECT_GT(images.metrics().calibration_error(), 0.2);
  EXPECT_LT(images.metrics(fitted).calibration_error(), 0.04);
  EXPECT_EQ(images.metrics(fitted).top1(), images.metrics().top1());
}

TEST(Temperature, IsNothingAtABound) {
  // Nearly the same logit for all classes, right three times of four: the best temperature is near 0.
  LabelledLogits faint(2);
  // Huge logits that are wrong half the time: the best one is without bound.
  LabelledLogits blind(2);
  for (int i = 0; i < 100; ++i) {
    faint.add(i % 4 == 0, Logits{1e-4f, 0.0f});
    blind.add(i % 2, Logits{1e4f, 0.0f});
  }
  for (const LabelledLogits& images : {faint, blind}) {
    EXPECT_EQ(fit_temperature(images), std::nullopt);
    EXPECT_EQ(calibrate(images).temperature, std::nullopt);
    EXPECT_EQ(calibrate(images).reason, "none from 0.05 to 20 fits the photos");
  }
}

TEST(Calibration, TakesEnoughImages) {
  const LabelledLogits few = drawn(3.0, 49, 4, 3);
  EXPECT_TRUE(fit_temperature(few).has_value());
  EXPECT_EQ(calibrate(few).temperature, std::nullopt);
  EXPECT_EQ(calibrate(few).reason, "49 photos are too few: it takes 50");
  const LabelledLogits enough = drawn(3.0, 50, 4, 3);
  EXPECT_EQ(calibrate(enough).temperature, fit_temperature(enough));
  EXPECT_EQ(calibrate(enough).reason, "");
}

TEST(Calibration, TakesAMistakeToLearnFrom) {
  LabelledLogits images(2);
  for (int i = 0; i < 60; ++i) images.add(0, Logits{2.0f, 1.0f});
  EXPECT_EQ(calibrate(images).temperature, std::nullopt);
  EXPECT_NE(calibrate(images).reason.find("right on every photo"), std::string::npos);
}

TEST(Calibration, DoesNoHarmOnImagesThatHadNoPartInTheFit) {
  // Labels drawn with a temperature of 1: what a few photos say against it is chance, and mostly found out. Whatever is
  // kept lowers the loss of the photos that it was fitted on and stays near 1.
  int kept = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const LabelledLogits images = drawn(1.0, 60, 4, seed);
    const Calibration calibration = calibrate(images);
    EXPECT_EQ(calibration.temperature.has_value(), calibration.reason.empty());
    if (!calibration.temperature) continue;
    ++kept;
    EXPECT_LT(images.metrics(*calibration.temperature).loss(), images.metrics().loss()) << seed;
    EXPECT_NEAR(std::log(*calibration.temperature), 0.0, 1.0) << seed;
  }
  EXPECT_LE(kept, 15);
  // Where there is something to mend, it is mended.
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_NEAR(calibrate(drawn(4.0, 400, 4, seed)).temperature.value_or(0.0), 4.0, 1.5) << seed;
  }
}

TEST(Calibration, IsRefusedWhereItsPartsAreWorse) {
  // Every fifth photo is surely wrong, and the part that holds them all is unlike the others: what the others say of it
  // raises its loss.
  LabelledLogits images(2);
  for (int i = 0; i < 100; ++i) images.add(i % 5 == 0 ? 1 : i % 50 == 1, Logits{i % 5 == 0 ? 6.0f : 3.0f, 0.0f});
  ASSERT_TRUE(fit_temperature(images).has_value());
  const Calibration calibration = calibrate(images);
  EXPECT_EQ(calibration.temperature, std::nullopt);
  EXPECT_NE(calibration.reason.find("on photos that had no part in the fit the loss would be"), std::string::npos)
      << calibration.reason;
}

TEST(Temperature, OneByHand) {
  // p(first) = sigmoid(2 / T) has to be 3 / 4: T = 2 / log 3.
  LabelledLogits images(2);
  for (int i = 0; i < 4; ++i) images.add(i == 0, Logits{5.0f, 3.0f});
  EXPECT_NEAR(fit_temperature(images).value(), 2.0 / std::log(3.0), 1e-9);
}

TEST(Temperature, IsNothingWithoutAMistakeToLearnFrom) {
  LabelledLogits images(3);
  EXPECT_EQ(fit_temperature(images), std::nullopt);
  images.add(0, Logits{3, 1, 2});
  images.add(2, Logits{3, 1, 4});
  EXPECT_EQ(fit_temperature(images), std::nullopt);
  images.add(1, Logits{3, 1, 2});
  EXPECT_TRUE(fit_temperature(images).has_value());
}

TEST(LabelledLogits, KeepsWhatMetricsCount) {
  LabelledLogits images(3);
  Metrics metrics(3, 2.0);
  for (std::int32_t i = 0; i < 6; ++i) {
    const Logits logits{static_cast<float>(i), 2.5f, -1.0f};
    images.add(i % 3, logits);
    metrics.add(i % 3, logits);
    EXPECT_EQ(images.label(static_cast<std::size_t>(i)), i % 3);
    EXPECT_EQ(
        Logits(images.logits(static_cast<std::size_t>(i)).begin(), images.logits(static_cast<std::size_t>(i)).end()),
        logits);
  }
  EXPECT_EQ(images.metrics(2.0).loss(), metrics.loss());
  EXPECT_EQ(images.metrics(2.0).calibration_error(), metrics.calibration_error());
  EXPECT_NE(weights::error_of([&] { images.add(3, Logits{1, 2, 3}); }).find("class 3"), std::string::npos);
  EXPECT_NE(weights::error_of([&] { images.add(0, Logits{1, 2}); }).find("2 logits"), std::string::npos);
  EXPECT_EQ(images.size(), 6u);
}

}  // namespace
}  // namespace gcvit::evaluate
