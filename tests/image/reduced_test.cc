// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "image/decode.h"
#include "image/resize.h"
#include "tests/image/test_pictures.h"

namespace gcvit::image {
namespace {

std::vector<std::byte> picture(const std::string& name) { return read_bytes(data_folder() / "decode" / name); }

std::int32_t reduced(std::int32_t side, int reduction) { return (side + reduction - 1) / reduction; }

TEST(DecodeReduced, SidesAreDividedAndRoundedUp) {
  for (const char* const name : {"jpeg_420.jpg", "jpeg_422.jpg", "jpeg_444.jpg", "jpeg_grey.jpg",
                                 "jpeg_progressive.jpg", "jpeg_cmyk.jpg", "exif_6.jpg", "exif_3.jpg"}) {
    const std::vector<std::byte> bytes = picture(name);
    const Image whole = decode(bytes, name);
    for (const int reduction : {1, 2, 4, 8}) {
      const Image found = decode_reduced(bytes, name, {}, [&](std::int32_t height, std::int32_t width) {
        EXPECT_EQ(height, whole.height) << name;
        EXPECT_EQ(width, whole.width) << name;
        return reduction;
      });
      check(found);
      EXPECT_EQ(found.height, reduced(whole.height, reduction)) << name;
      EXPECT_EQ(found.width, reduced(whole.width, reduction)) << name;
      if (reduction == 1) expect_equal(found, whole, name);
    }
  }
}

TEST(DecodeReduced, WithoutExifTheSizeIsTheStoredOne) {
  const std::vector<std::byte> bytes = picture("exif_6.jpg");
  const Image whole = decode(bytes, "x", {.apply_exif = false});
  const Image found = decode_reduced(bytes, "x", {.apply_exif = false}, [&](std::int32_t height, std::int32_t width) {
    EXPECT_EQ(height, whole.height);
    EXPECT_EQ(width, whole.width);
    return 2;
  });
  EXPECT_EQ(found.width, reduced(whole.width, 2));
}

TEST(DecodeReduced, OtherFormatsComeWhole) {
  for (const char* const name : {"png_filtered.png", "png_exif_6.png"}) {
    const Image whole = decode(picture(name), name);
    int asked = 0;
    const Image found = decode_reduced(picture(name), name, {}, [&](std::int32_t height, std::int32_t width) {
      EXPECT_EQ(height, whole.height);
      EXPECT_EQ(width, whole.width);
      ++asked;
      return 8;
    });
    EXPECT_EQ(asked, 1);
    expect_equal(found, whole, name);
  }
}

TEST(DecodeReduced, TheWholePictureMustBeAllowed) {
  const std::vector<std::byte> bytes = picture("jpeg_progressive.jpg");
  EXPECT_NE(sentence_of([&] {
              decode_reduced(bytes, "x", {.max_pixels = 100}, [](std::int32_t, std::int32_t) { return 8; });
            }).find("at most 100 pixels"),
            std::string::npos);
}

TEST(DecodeReduced, IsNearToAllPixelsResized) {
  // A photo: what a random crop sees at 224 pixels, from 1/2 the sides and from all of them.
  const std::vector<std::byte> bytes = read_bytes(std::string(GCVIT_SOURCE_DIR) + "/examples/photos/rose.jpg");
  const Image whole = decode(bytes, "rose");
  const Image half = decode_reduced(bytes, "rose", {}, [](std::int32_t, std::int32_t) { return 2; });
  const std::int32_t height = half.height * 3 / 4;
  const std::int32_t width = half.width * 3 / 4;
  const Image expected = resize_antialiased(whole, height, width, Filter::kBicubic);
  const Image found = resize_antialiased(half, height, width, Filter::kBicubic);
  double sum = 0.0;
  int largest = 0;
  for (std::size_t i = 0; i < expected.pixels.size(); ++i) {
    const int distance = std::abs(int{found.pixels[i]} - int{expected.pixels[i]});
    sum += distance;
    largest = std::max(largest, distance);
  }
  EXPECT_LT(sum / static_cast<double>(expected.pixels.size()), 2.0);
  EXPECT_LT(largest, 64);
  RecordProperty("mean_difference", std::to_string(sum / static_cast<double>(expected.pixels.size())));
  RecordProperty("largest_difference", largest);
}

}  // namespace
}  // namespace gcvit::image
