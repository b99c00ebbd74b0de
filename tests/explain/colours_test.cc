// SPDX-License-Identifier: Apache-2.0
#include "explain/colours.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gcvit::explain {
namespace {

/// Relative luminance of an sRGB colour (IEC 61966-2-1), 0 to 1.
double luminance(const image::Colour& colour) {
  const auto linear = [](std::uint8_t byte) {
    const double value = byte / 255.0;
    return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2]);
}

TEST(Colours, GetBrighterAllTheWay) {
  for (const ColourMap map : {ColourMap::kViridis, ColourMap::kInferno}) {
    const auto colours = colours_of(map);
    constexpr double kRounding = 0.001;  // of bytes
    for (std::size_t i = 1; i < 256; ++i) {
      EXPECT_GT(luminance(colours[i]), luminance(colours[i - 1]) - kRounding) << name_of(map) << i;
    }
    for (std::size_t i = 8; i < 256; ++i) {
      EXPECT_GT(luminance(colours[i]), luminance(colours[i - 8])) << name_of(map) << i;
    }
    EXPECT_LT(luminance(colours.front()), 0.03);
    EXPECT_GT(luminance(colours.back()), 0.7);
  }
}

TEST(Colours, AreNearMatplotlibsOfThatName) {
  // What matplotlib gives for 0, 0.25, 0.5, 0.75 and 1.
  const std::vector<image::Colour> viridis = {
      {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
  const std::vector<image::Colour> inferno = {{0, 0, 4}, {87, 16, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}};
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t place = std::min<std::size_t>(i * 64, 255);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      EXPECT_NEAR(colours_of(ColourMap::kViridis)[place][channel], viridis[i][channel], 37) << i;
      EXPECT_NEAR(colours_of(ColourMap::kInferno)[place][channel], inferno[i][channel], 37) << i;
    }
  }
}

}  // namespace
}  // namespace gcvit::explain
