// SPDX-License-Identifier: Apache-2.0
// Small files that claim much.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "image/decode.h"
#include "tests/image/large_pictures.h"
#include "tests/image/test_pictures.h"

namespace gcvit::image {
namespace {

using testing::Bytes;

/// A JPEG whose frame header says another size than it was made with.
Bytes with_size(Bytes jpeg, unsigned height, unsigned width) {
  for (std::size_t at = 0; at + 9 < jpeg.size(); ++at) {
    const auto marker = std::to_integer<unsigned>(jpeg[at + 1]);
    if (jpeg[at] != std::byte{0xff} || (marker != 0xc0 && marker != 0xc2)) continue;
    const unsigned sides[] = {height >> 8, height & 255, width >> 8, width & 255};
    for (std::size_t i = 0; i < 4; ++i) jpeg[at + 5 + i] = static_cast<std::byte>(sides[i]);
    return jpeg;
  }
  ADD_FAILURE() << "no frame header";
  return jpeg;
}

TEST(Bomb, TheDefaultLimitIsPillows) {
  EXPECT_EQ(DecodeOptions().max_pixels, 178'956'970u);
  const auto jpeg = with_size(testing::flat_jpeg(16, 16, {}), 13378, 13377);  // 178,957,506
  EXPECT_EQ(sentence_of([&] { decode(jpeg, "x"); }),
            "[jpeg] x: size: expected at most 178956970 pixels (--max-pixels), found 13377 x 13378");
}

TEST(Bomb, AJpegTooShortForItsPixelsIsTruncated) {
  for (const bool progressive : {false, true}) {
    const auto jpeg = with_size(testing::flat_jpeg(16, 16, {.progressive = progressive}), 13000, 13000);
    EXPECT_EQ(sentence_of([&] { decode(jpeg, "x"); }),
              "[jpeg] x: expected the whole picture, 495320 bytes at least for 13000 x 13000 pixels, found a truncated "
              "file of " +
                  std::to_string(jpeg.size()));
  }
}

TEST(Bomb, AFlatPictureIsNotTooShort) {
  // The shortest that honest encoders write.
  for (const int channels : {1, 3, 4}) {
    for (const bool progressive : {false, true}) {
      const auto jpeg = testing::flat_jpeg(2000, 3000, {.channels = channels, .progressive = progressive});
      EXPECT_EQ(decode(jpeg, "x").pixels.size(), 2000u * 3000 * 3) << channels << progressive;
    }
  }
  for (const auto color : {SPNG_COLOR_TYPE_GRAYSCALE, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA}) {
    const auto png = testing::flat_png(2000, 3000, color, 8, color == SPNG_COLOR_TYPE_GRAYSCALE);
    EXPECT_EQ(decode(png, "x").pixels.size(), 2000u * 3000 * 3);
  }
}

TEST(Bomb, APngTooShortForItsPixelsIsTruncated) {
  const auto whole = testing::flat_png(1000, 1000, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, false);
  // 8,000,000 bytes of pixels, of which deflate makes one of 1032 at best.
  EXPECT_EQ(sentence_of([&] { decode(std::span(whole).first(7000), "x"); }),
            "[png] x: expected the whole picture, 7751 bytes at least for 1000 x 1000 pixels, found a truncated file "
            "of 7000");
}

TEST(Bomb, AJpegHasAHundredScansAtMost) {
  EXPECT_EQ(sentence_of([] { decode(testing::jpeg_of_many_scans(16), "x"); }),
            "[jpeg] x: expected at most 100 scans, found more");
}

TEST(Bomb, ALargeJpegHasFewerScans) {
  auto jpeg = with_size(testing::jpeg_of_many_scans(16), 8192, 8192);
  jpeg.resize(1 << 18);  // as long as such a picture must be
  EXPECT_EQ(sentence_of([&] { decode(jpeg, "x"); }), "[jpeg] x: expected at most 64 scans, found more");
}

TEST(Bomb, AWebpHasSoManyChunksAtMost) {
  auto bytes = testing::plain_webp(16, 16, false, true);
  for (std::size_t i = 0; i < (std::size_t{1} << 18); ++i) {
    for (const char byte : std::string_view("JUNK\0\0\0\0", 8)) bytes.push_back(static_cast<std::byte>(byte));
  }
  const auto size = static_cast<std::uint32_t>(bytes.size() - 8);
  for (std::size_t i = 0; i < 4; ++i) bytes[4 + i] = static_cast<std::byte>(size >> (8 * i) & 255);
  EXPECT_EQ(sentence_of([&] { decode(bytes, "x"); }), "[webp] x: expected at most 262144 chunks, found more");
}

}  // namespace
}  // namespace gcvit::image
