// SPDX-License-Identifier: Apache-2.0
// What decoding takes at its peak, measured. Sanitizers keep shadows of all memory, so their builds leave this file out.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/decode.h"
#include "tests/image/large_pictures.h"
#include "tests/image/test_pictures.h"
#include "tests/testing/peak_memory.h"

namespace gcvit::image {
namespace {

constexpr std::uint64_t kHeight = 1200;
constexpr std::uint64_t kWidth = 1600;
constexpr std::uint64_t kRgb = kHeight * kWidth * 3;
/// What a row or two, tables and the allocator may take in pictures of this size.
constexpr std::uint64_t kSlack = 2 << 20;

std::uint64_t peak_of(std::span<const std::byte> bytes) {
  return testing::peak_memory_of([&] { decode(bytes, "x"); });
}

/// A JPEG behind the first two segments of exif_6.jpg, of which the second is EXIF.
testing::Bytes turned(const testing::Bytes& jpeg) {
  const auto from = read_bytes(data_folder() / "decode/exif_6.jpg");
  std::size_t end = 2;
  for (int segment = 0; segment < 2; ++segment) {
    end += 2 + std::to_integer<std::size_t>(from[end + 2]) * 256 + std::to_integer<std::size_t>(from[end + 3]);
  }
  testing::Bytes bytes(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(end));
  for (std::size_t i = 2; i < jpeg.size(); ++i) bytes.push_back(jpeg[i]);
  return bytes;
}

struct Case {
  const char* name;
  testing::Bytes bytes;
  double multiple;  ///< of the pixels' bytes, as docs/preprocessing.md says
};

TEST(DecodePeak, IsAStatedMultipleOfThePixels) {
  using testing::flat_jpeg;
  using testing::flat_png;
  using testing::plain_webp;
  const unsigned h = kHeight;
  const unsigned w = kWidth;
  const std::vector<Case> cases = {
      {"jpeg", flat_jpeg(h, w, {}), 1},
      {"jpeg cmyk", flat_jpeg(h, w, {.channels = 4}), 1},
      {"jpeg turned", turned(flat_jpeg(h, w, {})), 2},
      {"jpeg progressive", flat_jpeg(h, w, {.progressive = true}), 2},
      {"jpeg progressive 4:4:4", flat_jpeg(h, w, {.progressive = true, .chroma_as_large = true}), 3},
      {"jpeg progressive cmyk", flat_jpeg(h, w, {.channels = 4, .progressive = true}), 11.0 / 3},
      {"jpeg progressive turned", turned(flat_jpeg(h, w, {.progressive = true, .chroma_as_large = true})), 3},
      {"png 8", flat_png(h, w, SPNG_COLOR_TYPE_TRUECOLOR, 8, false), 1},
      {"png 8 interlaced", flat_png(h, w, SPNG_COLOR_TYPE_TRUECOLOR, 8, true), 1},
      {"png 16", flat_png(h, w, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, false), 1},
      {"png 16 interlaced", flat_png(h, w, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, true), 1},
      {"webp", plain_webp(h, w, false, false), 1},
      {"webp alpha", plain_webp(h, w, false, true), 8.0 / 3},
      {"webp lossless", plain_webp(h, w, true, false), 7.0 / 3},
  };
  for (const Case& one : cases) {
    const std::uint64_t peak = peak_of(one.bytes);
    EXPECT_GE(peak, kRgb * 9 / 10) << one.name;
    EXPECT_LE(static_cast<double>(peak), one.multiple * static_cast<double>(kRgb) + kSlack) << one.name;
    RecordProperty(std::string("peak_") + one.name, std::to_string(peak));
  }
}

TEST(DecodePeak, TagsOfAJpegTakeNothing) {
  // 4 MB of the shortest APP1 segments, then a whole picture with EXIF.
  const auto picture = read_bytes(data_folder() / "decode/exif_6.jpg");
  testing::Bytes bytes(picture.begin(), picture.begin() + 2);
  for (std::size_t i = 0; i < (std::size_t{1} << 20); ++i) {
    for (const unsigned byte : {0xffu, 0xe1u, 0u, 2u}) bytes.push_back(static_cast<std::byte>(byte));
  }
  for (std::size_t i = 2; i < picture.size(); ++i) bytes.push_back(picture[i]);
  EXPECT_LE(peak_of(bytes), kSlack);
  expect_equal(decode(bytes, "x"), decode(picture, "picture"), "behind empty segments");
}

TEST(DecodePeak, ATruncatedPictureTakesOnlyWhatItHas) {
  const auto png = testing::flat_png(kHeight, kWidth, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, false);
  EXPECT_LE(peak_of(std::span(png).first(png.size() / 2)), kRgb * 6 / 10 + kSlack);
}

}  // namespace
}  // namespace gcvit::image
