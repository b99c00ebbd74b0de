// SPDX-License-Identifier: Apache-2.0
#include "explain/photo_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "image/preprocess.h"

namespace gcvit::explain {
namespace {

Explanation explanation_of(HeatMap map) {
  Explanation explanation;
  explanation.map = std::move(map);
  const auto [lowest, highest] = std::ranges::minmax(explanation.map.values);
  explanation.lowest = lowest;
  explanation.highest = highest;
  explanation.empty = lowest == highest;
  return explanation;
}

std::vector<float> values_of(const PhotoMap& map) {
  std::vector<float> values;
  std::vector<float> row(static_cast<std::size_t>(map.width()));
  for (std::int32_t y = 0; y < map.height(); ++y) {
    map.row(y, row);
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

struct Case {
  std::string name;
  image::PreprocessConfig config;
};

std::vector<Case> every_way() {
  std::vector<Case> cases;
  for (const image::Preset preset :
       {image::Preset::kTimm, image::Preset::kNvlabs, image::Preset::kKeras, image::Preset::kKerasTrain}) {
    for (const bool square : {true, false}) {
      cases.push_back({std::string(image::to_string(preset)) + (square ? " square" : " wide"),
                       image::make_preprocess_config(preset, "", 64, square ? 64 : 96)});
    }
  }
  cases.push_back({"timm squashed", image::make_preprocess_config(image::Preset::kTimm, "", 64, 96)});
  cases.back().config.squash = true;
  return cases;
}

/// A black photo with a white square around (x, y).
image::Image photo_with_mark(std::int32_t height, std::int32_t width, std::int32_t y, std::int32_t x) {
  image::Image photo{width, height, {}};
  photo.pixels.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
  for (std::int32_t row = y - 4; row <= y + 4; ++row) {
    for (std::int32_t column = x - 4; column <= x + 4; ++column) {
      std::fill_n(photo.pixels.data() + 3 * (row * width + column), 3, std::uint8_t{255});
    }
  }
  return photo;
}

TEST(PhotoMap, AMarkOfTheInputComesBackToWhereThePhotoHasIt) {
  for (const Case& one : every_way()) {
    for (const auto& [height, width] : {std::pair{150, 260}, {260, 150}, {200, 200}}) {
      // Where every preprocessing looks; away from the middle on both axes.
      const std::int32_t y = height / 2 + 31;
      const std::int32_t x = width / 2 - 37;
      const image::Image photo = photo_with_mark(height, width, y, x);
      HeatMap input{one.config.height, one.config.width, {}};
      std::vector<std::uint8_t> pixels(static_cast<std::size_t>(input.height) * static_cast<std::size_t>(input.width) *
                                       3);
      image::PreprocessScratch scratch;
      image::fit(photo, one.config, pixels, scratch);
      for (std::size_t i = 0; i < pixels.size(); i += 3) input.values.push_back(pixels[i]);
      const Explanation explanation = explanation_of(std::move(input));
      const PhotoMap map(explanation, image::seen_area(height, width, one.config), height, width);
      const std::vector<float> values = values_of(map);
      double total = 0;
      double mean_y = 0;
      double mean_x = 0;
      for (std::int32_t row = 0; row < height; ++row) {
        for (std::int32_t column = 0; column < width; ++column) {
          const double value = values[static_cast<std::size_t>(row * width + column)];
          total += value;
          mean_y += value * row;
          mean_x += value * column;
        }
      }
      ASSERT_GT(total, 0) << one.name;
      // Resizing without antialias moves a mark by up to half a pixel of the input.
      const bool antialiased = one.name.starts_with("timm") || one.name.starts_with("nvlabs");
      const double near_y = antialiased ? 0.6 : 0.5 * height / one.config.height;
      const double near_x = antialiased ? 0.6 : 0.5 * width / one.config.width;
      EXPECT_NEAR(mean_y / total, y, near_y) << one.name << " " << height << "x" << width;
      EXPECT_NEAR(mean_x / total, x, near_x) << one.name << " " << height << "x" << width;
    }
  }
}

TEST(PhotoMap, WhatWasCroppedAwayIsZero) {
  const image::PreprocessConfig config = image::make_preprocess_config(image::Preset::kTimm, "", 64, 64);
  const Explanation explanation = explanation_of({1, 2, {1.0f, 2.0f}});
  const PhotoMap map(explanation, image::seen_area(100, 300, config), 100, 300);
  const std::vector<float> values = values_of(map);
  // The shorter side becomes 73 pixels, the middle 64 x 64 of which are seen: 88 of the photo's, from about (5.5, 106) on.
  for (std::int32_t y = 0; y < 100; ++y) {
    for (std::int32_t x = 0; x < 300; ++x) {
      const bool seen = y > 7 && y < 92 && x > 108 && x < 191;
      const bool unseen = y < 4 || y > 95 || x < 104 || x > 195;
      if (!seen && !unseen) continue;  // the edge
      EXPECT_EQ(map.sees_row(y) && map.sees_column(x), seen) << y << " " << x;
      EXPECT_EQ(values[static_cast<std::size_t>(y * 300 + x)] > 0, seen) << y << " " << x;
    }
  }
}

TEST(PhotoMap, SharesOfTheLargestValueBilinearBetweenCells) {
  const Explanation explanation = explanation_of({1, 2, {1.0f, 4.0f}});
  const PhotoMap map(explanation, {0, 0, 1, 8}, 1, 8);
  const std::vector<float> values = values_of(map);
  const std::vector<float> expected = {0.25f, 0.25f, 0.34375f, 0.53125f, 0.71875f, 0.90625f, 1.0f, 1.0f};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(values[i], expected[i]) << i;
}

TEST(PhotoMap, NegativeAndEvenMapsShowNothing) {
  const auto all_zero = [](const HeatMap& map) {
    const Explanation explanation = explanation_of(map);
    const PhotoMap on_photo(explanation, {0, 0, 4, 4}, 4, 4);
    return std::ranges::all_of(values_of(on_photo), [](float value) { return value == 0; });
  };
  EXPECT_TRUE(all_zero({2, 2, {0, 0, 0, 0}}));
  EXPECT_TRUE(all_zero({2, 2, {3, 3, 3, 3}}));
  EXPECT_TRUE(all_zero({2, 2, {-3, -1, -2, -4}}));
  EXPECT_FALSE(all_zero({2, 2, {-3, 1, -2, -4}}));
}

TEST(PhotoMap, RefusesAMapOfAnotherSize) {
  Explanation explanation;
  explanation.map = {2, 2, {1, 2, 3}};
  EXPECT_THROW(PhotoMap(explanation, {0, 0, 4, 4}, 4, 4), Error);
  explanation.map = {0, 0, {}};
  EXPECT_THROW(PhotoMap(explanation, {0, 0, 4, 4}, 4, 4), Error);
}

}  // namespace
}  // namespace gcvit::explain
