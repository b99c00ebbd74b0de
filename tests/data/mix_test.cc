// SPDX-License-Identifier: Apache-2.0
#include "data/mix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using Floats = std::vector<float>;

TEST(Mix, BetaHasItsMeanAndVariance) {
  for (const double alpha : {0.1, 0.2, 0.8, 1.0, 2.5}) {
    Random random(4, static_cast<std::uint64_t>(alpha * 10));
    constexpr int kDraws = 20000;
    double sum = 0.0;
    double squares = 0.0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = draw_beta(alpha, random);
      ASSERT_GE(x, 0.0);
      ASSERT_LE(x, 1.0);
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, 0.5, 0.012) << alpha;
    EXPECT_NEAR(squares / kDraws - mean * mean, 0.25 / (2.0 * alpha + 1.0), 0.006) << alpha;
  }
  // Far below what a double can hold as a gamma variate.
  Random random(4, 9);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(std::isnan(draw_beta(1e-4, random)));
}

TEST(Mix, MixupBlendsAnImageWithItsPartner) {
  Mix mix;
  mix.lambda = 0.75f;
  Floats images = {1, 1, 1, 5, 5, 5, 9, 9, 9};  // three images of one pixel
  mix_images(mix, images, 3, 1, 1);
  EXPECT_EQ(images, (Floats{3, 3, 3, 5, 5, 5, 7, 7, 7}));
  Floats targets = {1, 0, 0.5f, 0.5f, 0, 1};
  mix_targets(mix, targets, 3);
  EXPECT_EQ(targets, (Floats{0.75f, 0.25f, 0.5f, 0.5f, 0.25f, 0.75f}));
}

TEST(Mix, CutmixTakesARectangleFromThePartner) {
  Mix mix{0.5f, true, 0, 1, 2, 1};
  Floats images(2 * 2 * 2 * 3);
  std::iota(images.begin(), images.end(), 0.0f);
  mix_images(mix, images, 2, 2, 2);
  EXPECT_EQ(images, (Floats{0, 1, 2, 15, 16, 17, 6, 7, 8, 21, 22, 23, 12, 13, 14, 3, 4, 5, 18, 19, 20, 9, 10, 11}));
}

TEST(Mix, DrawsWhatIsOn) {
  EXPECT_FALSE(draw_mix({}, 8, 8, Random(1)));
  int cuts = 0;
  for (std::uint64_t step = 0; step < 400; ++step) {
    const auto mixup = draw_mix({0.8, 0.0}, 20, 30, Random(1, step));
    ASSERT_TRUE(mixup);
    EXPECT_FALSE(mixup->cut);
    const auto cut = draw_mix({0.0, 1.0}, 20, 30, Random(1, step));
    ASSERT_TRUE(cut);
    EXPECT_TRUE(cut->cut);
    ASSERT_GE(cut->top, 0);
    ASSERT_GE(cut->left, 0);
    ASSERT_LE(cut->top + cut->height, 20);
    ASSERT_LE(cut->left + cut->width, 30);
    EXPECT_FLOAT_EQ(cut->lambda, 1.0f - static_cast<float>(cut->height * cut->width) / 600.0f);
    cuts += draw_mix({0.8, 1.0}, 20, 30, Random(1, step))->cut;
  }
  EXPECT_NEAR(cuts, 200, 40);
}

TEST(Mix, RefusesWhatDoesNotFit) {
  Floats floats(7);
  EXPECT_NE(weights::error_of([&] { mix_images({}, floats, 2, 1, 1); }).find("expected 6 floats"), std::string::npos);
  EXPECT_NE(weights::error_of([&] { mix_targets({}, floats, 2); }).find("found 7 floats"), std::string::npos);
  EXPECT_NE(weights::error_of([] { draw_mix({-1.0, 0.0}, 8, 8, Random(1)); }).find("at least 0"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
