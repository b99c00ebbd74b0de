// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "tests/image/blob_pictures.h"
#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using Floats = std::vector<float>;

AugmentConfig config_of(Augment kind, std::int32_t height = 24, std::int32_t width = 32) {
  AugmentConfig config;
  config.kind = kind;
  config.target.height = height;
  config.target.width = width;
  return config;
}

Floats view_of(const std::string& image, const AugmentConfig& config, Random random) {
  check(config);
  Floats view(view_size(config));
  ViewScratch scratch;
  make_view(std::as_bytes(std::span(image)), "photo", config, random, view, scratch);
  return view;
}

Floats mirrored(const Floats& view, std::size_t width) {
  Floats result;
  for (std::size_t row = 0; row < view.size(); row += width * 3) {
    for (std::size_t x = width; x-- > 0;) {
      for (std::size_t channel = 0; channel < 3; ++channel) result.push_back(view[row + x * 3 + channel]);
    }
  }
  return result;
}

TEST(Augment, FlipKeepsThePresetsNumbers) {
  const std::string image = testing::blob_png(3);
  for (const image::Preset preset : {image::Preset::kTimm, image::Preset::kKeras, image::Preset::kKerasTrain}) {
    AugmentConfig config = config_of(Augment::kFlip);
    config.target.preset = preset;
    AugmentConfig plain = config;
    plain.kind = Augment::kNone;
    const Floats expected = view_of(image, plain, Random(1));
    const Floats turned = mirrored(expected, 32);
    int flips = 0;
    for (std::uint64_t stream = 0; stream < 40; ++stream) {
      const Floats view = view_of(image, config, Random(1, stream));
      EXPECT_TRUE(view == expected || view == turned);
      flips += view == turned;
    }
    EXPECT_GT(flips, 8);
    EXPECT_LT(flips, 32);
  }
}

TEST(Augment, ACropIsResizedWithAntialias) {
  const std::string image = testing::blob_png(3);  // 40 x 56
  AugmentConfig config = config_of(Augment::kFlip);
  config.rrc_scale = {0.999999, 1.0};
  config.rrc_ratio = {1.0, 1.0};
  config.flip = 0.0;
  // A square of all the area doesn't fit: the one in the middle is taken.
  const image::Image picture = image::decode(std::as_bytes(std::span(image)), "photo");
  image::Image middle{40, 40, {}};
  for (std::size_t y = 0; y < 40; ++y) {
    const auto row = picture.pixels.begin() + static_cast<std::ptrdiff_t>((y * 56 + 8) * 3);
    middle.pixels.insert(middle.pixels.end(), row, row + 40 * 3);
  }
  const image::Image resized = image::resize_antialiased(middle, 24, 32, image::Filter::kBicubic);
  Floats expected(view_size(config));
  image::normalise(resized.pixels, config.target, expected);
  EXPECT_EQ(view_of(image, config, Random(1)), expected);
}

TEST(Augment, CropsHaveTheirShareAndRatio) {
  double shares = 0.0;
  double log_ratios = 0.0;
  double lefts = 0.0;
  constexpr int kDraws = 4000;
  for (std::uint64_t stream = 0; stream < kDraws; ++stream) {
    Random random(5, stream);
    const image::Window crop = draw_crop(400, 400, {0.2, 0.6}, {3.0 / 4.0, 4.0 / 3.0}, random);
    ASSERT_GE(crop.top, 0);
    ASSERT_GE(crop.left, 0);
    ASSERT_LE(crop.top + crop.height, 400);
    ASSERT_LE(crop.left + crop.width, 400);
    const double share = static_cast<double>(crop.height) * crop.width / 160000.0;
    const double ratio = static_cast<double>(crop.width) / crop.height;
    ASSERT_GT(share, 0.19);
    ASSERT_LT(share, 0.61);
    ASSERT_GT(ratio, 0.74);
    ASSERT_LT(ratio, 1.35);
    shares += share;
    log_ratios += std::log(ratio);
    if (crop.width < 400) lefts += static_cast<double>(crop.left) / (400 - crop.width);
  }
  EXPECT_NEAR(shares / kDraws, 0.4, 0.01);
  EXPECT_NEAR(log_ratios / kDraws, 0.0, 0.01);
  EXPECT_NEAR(lefts / kDraws, 0.5, 0.02);
  // Nothing of such a ratio fits into a strip: the middle is taken.
  Random random(5);
  const image::Window strip = draw_crop(10, 1000, {0.9, 1.0}, {3.0 / 4.0, 4.0 / 3.0}, random);
  EXPECT_EQ(strip.height, 10);
  EXPECT_EQ(strip.width, 13);
  EXPECT_EQ(strip.left, 493);
  const image::Window thin = draw_crop(1, 1, {0.01, 0.02}, {3.0 / 4.0, 4.0 / 3.0}, random);
  EXPECT_EQ(thin.height, 1);
  EXPECT_EQ(thin.width, 1);
}

TEST(Augment, ReductionLeavesAQuarterMoreThanTheTargetsPixels) {
  EXPECT_EQ(reduction_for({0, 0, 559, 1000}, 224, 224), 1);
  EXPECT_EQ(reduction_for({0, 0, 560, 560}, 224, 224), 2);
  EXPECT_EQ(reduction_for({0, 0, 1119, 4000}, 224, 224), 2);
  EXPECT_EQ(reduction_for({0, 0, 1120, 1120}, 224, 224), 4);
  EXPECT_EQ(reduction_for({0, 0, 5000, 5000}, 224, 224), 8);
}

TEST(Augment, AViewIsDecidedByItsRandomNumbers) {
  const std::string image = testing::blob_png(3, 120, 150);
  AugmentConfig config = config_of(Augment::kRandAugment);
  config.rrc_scale = {0.1, 1.0};
  config.random_erasing = 0.5;
  std::vector<Floats> seen;
  ViewScratch scratch;
  Floats view(view_size(config));
  for (std::uint64_t stream = 0; stream < 20; ++stream) {
    make_view(std::as_bytes(std::span(image)), "photo", config, Random(1, stream), view, scratch);
    EXPECT_EQ(view, view_of(image, config, Random(1, stream)));
    EXPECT_EQ(std::find(seen.begin(), seen.end(), view), seen.end());
    seen.push_back(view);
    for (const float value : view) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST(Augment, ErasingFillsARectangleWithNoise) {
  double shares = 0.0;
  int erased_views = 0;
  for (std::uint64_t stream = 0; stream < 200; ++stream) {
    Floats view(48 * 64 * 3, 100.0f);
    Random random(2, stream);
    erase(view, 48, 64, random);
    double sum = 0.0;
    int count = 0;
    for (const float value : view) {
      if (value == 100.0f) continue;
      ++count;
      sum += value;
    }
    if (count == 0) continue;
    ++erased_views;
    const double share = count / (48.0 * 64.0 * 3.0);
    EXPECT_GT(share, 0.01);
    EXPECT_LT(share, 0.36);
    EXPECT_NEAR(sum / count, 0.0, 5.0 / std::sqrt(count));
    shares += share;
  }
  EXPECT_GT(erased_views, 190);
  EXPECT_NEAR(shares / erased_views, 0.17, 0.03);
}

TEST(Augment, JitterChangesColoursWithinItsStrength) {
  const std::string image = testing::blob_png(3);
  AugmentConfig config = config_of(Augment::kFlip);
  config.flip = 0.0;
  const Floats plain = view_of(image, config, Random(1));
  config.color_jitter = 0.4;
  EXPECT_NE(view_of(image, config, Random(1, 1)), plain);
  EXPECT_NE(view_of(image, config, Random(1, 1)), view_of(image, config, Random(1, 2)));
}

TEST(Augment, SaysWhatItDoes) {
  AugmentConfig config = config_of(Augment::kRandAugment);
  config.rrc_scale = {0.35, 1.0};
  config.random_erasing = 0.25;
  EXPECT_EQ(describe(config),
            "random crop of 0.35 to 1 of the area, ratio 0.75 to 1.33, to 24x32, flip 0.5, RandAugment 2 x 9, random "
            "erasing 0.25");
  EXPECT_EQ(describe(config_of(Augment::kNone)), image::describe(config.target));
}

TEST(Augment, RefusesNumbersOutOfRange) {
  const auto refusal = [](const std::function<void(AugmentConfig&)>& change) {
    AugmentConfig config = config_of(Augment::kFlip);
    change(config);
    return weights::error_of([&] { check(config); });
  };
  EXPECT_NE(refusal([](AugmentConfig& c) { c.rrc_scale = {0.0, 1.0}; }).find("rrc_scale"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.rrc_scale = {0.5, 0.4}; }).find("found 0.4"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.rrc_scale = {0.5, 1.5}; }).find("found 1.5"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.rrc_ratio = {2.0, 3.0}; }).find("rrc_ratio"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.flip = 1.5; }).find("flip"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.random_erasing = std::nan(""); }).find("found nan"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.randaug_magnitude = 11.0; }).find("found 11"), std::string::npos);
  EXPECT_NE(refusal([](AugmentConfig& c) { c.randaug_layers = -1; }).find("found -1"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
