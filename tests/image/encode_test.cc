// SPDX-License-Identifier: Apache-2.0
#include "image/encode.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace gcvit::image {
namespace {

Image gradient(std::int32_t width, std::int32_t height) {
  Image image{width, height, {}};
  for (std::int32_t y = 0; y < height; ++y) {
    for (std::int32_t x = 0; x < width; ++x) {
      for (const std::int32_t value : {255 * x / width, 255 * y / height, 128}) {
        image.pixels.push_back(static_cast<std::uint8_t>(value));
      }
    }
  }
  return image;
}

Image decoded(const std::string& bytes) { return decode(std::as_bytes(std::span(bytes)), "encoded"); }

TEST(Encode, PngBringsEveryPixelBack) {
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 3}, {64, 40}}) {
    const Image image = gradient(width, height);
    const Image again = decoded(encode_png(image));
    EXPECT_EQ(again.width, width);
    EXPECT_EQ(again.height, height);
    EXPECT_EQ(again.pixels, image.pixels);
  }
}

TEST(Encode, WebpIsNearAndSmall) {
  const Image image = gradient(64, 40);
  const std::string bytes = encode_webp(image, 80);
  EXPECT_LT(bytes.size(), image.pixels.size() / 10);
  const Image again = decoded(bytes);
  ASSERT_EQ(again.pixels.size(), image.pixels.size());
  for (std::size_t i = 0; i < image.pixels.size(); ++i) EXPECT_LE(std::abs(again.pixels[i] - image.pixels[i]), 12);
}

TEST(Encode, RefusesWhatIsNoPicture) {
  const Image wrong{3, 3, std::vector<std::uint8_t>(26)};
  EXPECT_THROW(encode_png(wrong), Error);
  EXPECT_THROW(encode_webp(wrong, 80), Error);
  EXPECT_THROW(encode_webp(gradient(20000, 1), 80), Error);
}

}  // namespace
}  // namespace gcvit::image
