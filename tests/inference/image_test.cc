// SPDX-License-Identifier: Apache-2.0
#include "gcvit/image.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "inference/preparation.h"
#include "tests/image/blob_pictures.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

using weights::error_of;

/// The RGB pixels in another order, rows `gap` bytes apart.
std::vector<std::uint8_t> reordered(const std::vector<std::uint8_t>& rgb, std::int32_t width, ChannelOrder order,
                                    std::size_t gap) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < rgb.size() / 3; ++i) {
    const std::uint8_t* const from = rgb.data() + 3 * i;
    const bool reversed = order == ChannelOrder::kBgr || order == ChannelOrder::kBgra;
    for (const std::size_t channel : {0u, 1u, 2u}) bytes.push_back(from[reversed ? 2 - channel : channel]);
    if (channels_of(order) == 4) bytes.push_back(static_cast<std::uint8_t>(i));
    if ((i + 1) % static_cast<std::size_t>(width) == 0) bytes.insert(bytes.end(), gap, 0xee);
  }
  return bytes;
}

TEST(Image, PixelsOfAnyOrderAndStrideAreTheSame) {
  const std::vector<std::uint8_t> rgb = testing::blob_pixels(9, 13, 2);
  const image::Image expected = inference::decode(Image::pixels(rgb, 9, 13), {});
  EXPECT_EQ(expected.pixels, rgb);
  for (const ChannelOrder order : {ChannelOrder::kRgb, ChannelOrder::kBgr, ChannelOrder::kRgba, ChannelOrder::kBgra}) {
    for (const std::size_t gap : {0u, 5u}) {
      const std::vector<std::uint8_t> bytes = reordered(rgb, 13, order, gap);
      const std::size_t stride = 13 * static_cast<std::size_t>(channels_of(order)) + gap;
      const Image image = Image::pixels(bytes, 9, 13, {order, gap == 0 ? 0 : stride});
      EXPECT_EQ(inference::decode(image, {}).pixels, rgb) << static_cast<int>(order) << ' ' << gap;
      // The gap behind the last row need not be there.
      const Image shorter = Image::pixels(std::span(bytes).first(bytes.size() - gap), 9, 13, {order, stride});
      EXPECT_EQ(inference::decode(shorter, {}).pixels, rgb);
      EXPECT_NE(error_of([&] {
                  Image::pixels(std::span(bytes).first(bytes.size() - gap - 1), 9, 13, {order, stride});
                }).find("expected 9 rows"),
                std::string::npos);
    }
  }
  EXPECT_NE(error_of([&] { Image::pixels(rgb, 9, 13, {ChannelOrder::kRgb, 38}); }).find("at least 39 bytes, found 38"),
            std::string::npos);
}

TEST(Image, GreyBecomesThreeEqualChannels) {
  const std::vector<std::uint8_t> grey{1, 2, 3, 250, 251, 252};
  const image::Image image = inference::decode(Image::pixels(grey, 2, 3, {ChannelOrder::kGrey, 0}), {});
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.pixels,
            (std::vector<std::uint8_t>{1, 1, 1, 2, 2, 2, 3, 3, 3, 250, 250, 250, 251, 251, 251, 252, 252, 252}));
}

TEST(Image, OwnsBytesThatWereGivenToIt) {
  const std::vector<std::uint8_t> rgb = testing::blob_pixels(9, 13, 2);
  const std::string png = testing::png_of(rgb, 9, 13);
  std::vector<std::byte> bytes(png.size());
  std::ranges::transform(png, bytes.begin(), [](char letter) { return static_cast<std::byte>(letter); });
  const Image image = Image::encoded(std::move(bytes), "mine");
  const Image copy = image;
  EXPECT_EQ(inference::decode(copy, {}).pixels, rgb);
  EXPECT_EQ(copy.name(), "mine");
}

TEST(Image, RefusesSidesOutOfRange) {
  const std::vector<std::uint8_t> pixels(12);
  for (const auto& [height, width] : {std::pair{0, 3}, {3, 0}, {-1, 3}, {70000, 1}}) {
    try {
      Image::pixels(pixels, height, width, PixelLayout{});
      FAIL() << height << " x " << width;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace gcvit
