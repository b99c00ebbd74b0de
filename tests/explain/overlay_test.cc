// SPDX-License-Identifier: Apache-2.0
#include "explain/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "explain/colours.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit::explain {
namespace {

image::Image grey_photo(std::int32_t height, std::int32_t width) {
  image::Image photo{width, height, {}};
  photo.pixels.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3, 120);
  return photo;
}

/// A map that is 0 on the left and 2 on the right.
Explanation right_side() {
  Explanation explanation;
  explanation.index = 1;
  explanation.label = "tulips";
  explanation.score = 3.5f;
  explanation.map = {1, 2, {0.0f, 2.0f}};
  explanation.highest = 2.0f;
  return explanation;
}

Explanation nothing() {
  Explanation explanation = right_side();
  explanation.map.values = {0.0f, 0.0f};
  explanation.highest = 0.0f;
  explanation.empty = true;
  return explanation;
}

image::Colour pixel(const image::Image& picture, std::int32_t y, std::int32_t x) {
  const std::uint8_t* at =
      picture.pixels.data() +
      3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.width) + static_cast<std::size_t>(x));
  return {at[0], at[1], at[2]};
}

image::Area whole(const image::Image& photo) {
  return {0, 0, static_cast<double>(photo.height), static_cast<double>(photo.width)};
}

image::Image draw(const image::Image& photo, const image::Area& seen, const std::vector<Explanation>& explanations,
                  const OverlayOptions& options = {}) {
  return overlay(photo, seen, explanations, options);
}

/// Rows of a picture below the photo.
std::vector<std::uint8_t> legend_of(const image::Image& picture, std::int32_t photo_height) {
  return {picture.pixels.begin() + 3 * photo_height * picture.width, picture.pixels.end()};
}

TEST(Overlay, ColoursGoFromTheLowestToTheHighestValue) {
  const image::Image photo = grey_photo(400, 500);
  for (const ColourMap map : {ColourMap::kViridis, ColourMap::kInferno}) {
    const auto colours = colours_of(map);
    const image::Image solid = draw(photo, whole(photo), {right_side()}, {.colours = map, .opacity = 1.0f});
    EXPECT_EQ(solid.width, 500);
    EXPECT_GT(solid.height, 400);
    EXPECT_EQ(pixel(solid, 200, 3), colours.front());
    EXPECT_EQ(pixel(solid, 200, 497), colours.back());
    const image::Image half = draw(photo, whole(photo), {right_side()}, {.colours = map});
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(pixel(half, 200, 497)[i], (120 + colours.back()[i]) / 2.0, 1);
    EXPECT_EQ(pixel(draw(photo, whole(photo), {right_side()}, {.opacity = 0.0f}), 200, 497), pixel(photo, 0, 0));
  }
}

TEST(Overlay, AnEmptyMapLeavesThePhotoAndSaysSo) {
  const image::Image photo = grey_photo(400, 500);
  const image::Image empty = draw(photo, whole(photo), {nothing()});
  for (std::int32_t y = 0; y < 400; ++y) {
    for (std::int32_t x = 0; x < 500; ++x) ASSERT_EQ(pixel(empty, y, x), pixel(photo, 0, 0));
  }
  Explanation negative = right_side();
  negative.map.values = {-2.0f, -1.0f};
  negative.lowest = -2.0f;
  negative.highest = -1.0f;
  EXPECT_EQ(draw(photo, whole(photo), {negative}).pixels, empty.pixels);
  // Its legend is letters alone, without colours.
  const std::vector<std::uint8_t> legend = legend_of(empty, 400);
  bool grey = true;
  for (std::size_t i = 0; i < legend.size(); i += 3) grey = grey && std::abs(legend[i] - legend[i + 2]) < 20;
  EXPECT_TRUE(grey);
  EXPECT_GT(std::ranges::count(legend, std::uint8_t{27}), 100);
  EXPECT_NE(legend, legend_of(draw(photo, whole(photo), {right_side()}), 400));
}

TEST(Overlay, WhatTheModelDidNotSeeIsDimmed) {
  const image::Image photo = grey_photo(400, 500);
  const image::Image picture = draw(photo, {0, 50, 400, 400}, {right_side()});
  EXPECT_EQ(pixel(picture, 200, 20), (image::Colour{48, 48, 48}));
  EXPECT_EQ(pixel(picture, 200, 470), (image::Colour{48, 48, 48}));
  EXPECT_NE(pixel(picture, 200, 100), (image::Colour{48, 48, 48}));
}

TEST(Overlay, LargePhotosAreDrawnSmallerAndSmallOnesLarger) {
  const auto width = [](std::int32_t photo_height, std::int32_t photo_width, const OverlayOptions& options = {}) {
    const image::Image photo = grey_photo(photo_height, photo_width);
    return draw(photo, whole(photo), {right_side()}, options).width;
  };
  EXPECT_EQ(width(1000, 4000), 1600);
  EXPECT_EQ(width(4000, 1000), 400);
  EXPECT_EQ(width(50, 100), 320);
  EXPECT_EQ(width(500, 1000, {.longest_side = 100}), 200);  // the legend's
  EXPECT_EQ(width(1, 3000), 1600);
}

TEST(Overlay, SeveralExplanationsStandSideBySide) {
  const image::Image photo = grey_photo(400, 500);
  const image::Image both = draw(photo, whole(photo), {right_side(), nothing()});
  const image::Image first = draw(photo, whole(photo), {right_side()});
  const image::Image second = draw(photo, whole(photo), {nothing()});
  ASSERT_EQ(both.height, first.height);
  const std::int32_t gap = both.width - first.width - second.width;
  EXPECT_GT(gap, 0);
  for (std::int32_t y = 0; y < both.height; y += 7) {
    for (std::int32_t x = 0; x < 500; ++x) {
      ASSERT_EQ(pixel(both, y, x), pixel(first, y, x));
      ASSERT_EQ(pixel(both, y, first.width + gap + x), pixel(second, y, x));
    }
  }
}

TEST(Overlay, IsOfThePhotoAsItsExifTurnsIt) {
  const weights::TemporaryFolder folder;
  testing::write_tiny_model(folder / "m.safetensors");
  const Model model = Model::open(folder / "m.safetensors");
  const std::string bytes = weights::read_text(std::string(GCVIT_TEST_DATA) + "/image/decode/exif_6.jpg");
  const Image photo = Image::encoded(std::as_bytes(std::span(bytes)), "photo");
  const Session upright(model);
  const Session as_stored(model, {.images = {.apply_exif = false}});
  const PhotoValues turned = on_photo(upright, photo, right_side());
  const PhotoValues unturned = on_photo(as_stored, photo, right_side());
  ASSERT_NE(turned.height, turned.width);
  EXPECT_EQ(turned.height, unturned.width);
  EXPECT_EQ(turned.width, unturned.height);
  EXPECT_EQ(turned.values.size(), static_cast<std::size_t>(turned.height) * static_cast<std::size_t>(turned.width));
  EXPECT_EQ(*std::ranges::max_element(turned.values), 1.0f);
}

TEST(Overlay, RefusesOptionsOutOfTheirRange) {
  const image::Image photo = grey_photo(40, 50);
  EXPECT_THROW(draw(photo, whole(photo), {}), Error);
  EXPECT_THROW(draw(photo, whole(photo), std::vector<Explanation>(17, right_side())), Error);
  EXPECT_THROW(draw(photo, whole(photo), {right_side()}, {.opacity = 1.5f}), Error);
  EXPECT_THROW(draw(photo, whole(photo), {right_side()}, {.opacity = std::numeric_limits<float>::quiet_NaN()}), Error);
  EXPECT_THROW(draw(photo, whole(photo), {right_side()}, {.longest_side = 0}), Error);
}

}  // namespace
}  // namespace gcvit::explain
