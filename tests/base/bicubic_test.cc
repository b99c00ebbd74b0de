// SPDX-License-Identifier: Apache-2.0
// Against what PyTorch's interpolate computed (tests/data/tensor, written by tools/parity/make_bicubic.py), and what must
// hold for all sizes.
#include "base/bicubic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace gcvit {
namespace {

std::vector<float> resized(const std::vector<float>& map, const BicubicResize& resize) {
  const auto row_size = static_cast<std::size_t>(resize.new_width) * static_cast<std::size_t>(resize.channels);
  std::vector<float> out(row_size * static_cast<std::size_t>(resize.new_height));
  for (std::int32_t row = 0; row < resize.new_height; ++row) {
    resize_bicubic_row(map.data(), resize, row, out.data() + static_cast<std::size_t>(row) * row_size);
  }
  return out;
}

std::vector<float> random_map(std::int32_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(size));
  for (float& value : values) value = normal(generator);
  return values;
}

TEST(Bicubic, IsPyTorchs) {
  for (const BicubicResize& resize : {BicubicResize{13, 13, 15, 15, 2},
                                      {27, 27, 23, 23, 2},
                                      {13, 13, 17, 13, 2},
                                      {8, 10, 7, 7, 2},
                                      {7, 9, 14, 14, 2},
                                      {1, 1, 3, 4, 2},
                                      {5, 6, 1, 1, 2},
                                      {1, 6, 4, 2, 2},
                                      {2, 2, 5, 3, 2},
                                      {6, 5, 6, 5, 2}}) {
    const std::string name = "bicubic_" + std::to_string(resize.height) + "x" + std::to_string(resize.width) + "_" +
                             std::to_string(resize.new_height) + "x" + std::to_string(resize.new_width) + ".f32";
    const auto before = static_cast<std::size_t>(2 * resize.height * resize.width);
    const auto after = static_cast<std::size_t>(2 * resize.new_height * resize.new_width);
    std::vector<float> values(before + after);
    std::ifstream file(std::string(GCVIT_TEST_DATA) + "/tensor/" + name, std::ios::binary);
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
    ASSERT_TRUE(file) << name;
    ASSERT_EQ(file.peek(), std::ifstream::traits_type::eof()) << name;
    const std::vector<float> map(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(before));
    const std::vector<float> found = resized(map, resize);
    ASSERT_EQ(found.size(), after);
    for (std::size_t i = 0; i < after; ++i) EXPECT_NEAR(found[i], values[before + i], 2e-6) << name << " at " << i;
  }
}

TEST(Bicubic, TapsStayOnTheAxisAndSumToOne) {
  for (std::int32_t from = 1; from <= 30; ++from) {
    for (std::int32_t to = 1; to <= 40; ++to) {
      for (std::int32_t index = 0; index < to; ++index) {
        const BicubicTaps taps = bicubic_taps(index, from, to);
        for (const std::int32_t position : taps.positions) {
          EXPECT_GE(position, 0);
          EXPECT_LT(position, from);
        }
        EXPECT_NEAR(std::accumulate(taps.weights.begin(), taps.weights.end(), 0.0), 1.0, 1e-6);
      }
    }
  }
}

TEST(Bicubic, TheSameSizeIsTheSameMap) {
  for (const std::int32_t side : {1, 2, 5, 13, 64}) {
    const std::vector<float> map = random_map(side * (side + 1) * 3, 7);
    EXPECT_EQ(resized(map, {side, side + 1, side, side + 1, 3}), map);
  }
}

TEST(Bicubic, MirroredMapsGiveMirroredMaps) {
  constexpr std::int32_t kWidth = 9;
  constexpr std::int32_t kNewWidth = 14;
  const std::vector<float> row = random_map(kWidth, 8);
  const std::vector<float> found = resized(row, {1, kWidth, 1, kNewWidth, 1});
  std::vector<float> mirrored = resized({row.rbegin(), row.rend()}, {1, kWidth, 1, kNewWidth, 1});
  std::reverse(mirrored.begin(), mirrored.end());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], mirrored[i], 1e-6);
}

}  // namespace
}  // namespace gcvit
