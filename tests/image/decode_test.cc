// SPDX-License-Identifier: Apache-2.0
#include "image/decode.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "image/decoders.h"
#include "tests/image/large_pictures.h"
#include "tests/image/test_pictures.h"

namespace gcvit::image {
namespace {

std::vector<std::filesystem::path> encoded_pictures() {
  std::vector<std::filesystem::path> pictures;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder() / "decode")) {
    if (entry.path().extension() != ".ppm") pictures.push_back(entry.path());
  }
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// Decodes and holds the result to what it promises; false for an `Error`. Anything else ends the test.
bool decodes(std::span<const std::byte> bytes) {
  DecodeOptions options;
  options.max_pixels = 1 << 16;
  try {
    const Image image = decode(bytes, "mutant", options);
    check(image);
    EXPECT_LE(static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height), options.max_pixels);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).front(), '[');
    return false;
  }
}

TEST(Decode, EqualsTheReferenceForEveryKindOfPicture) {
  const auto pictures = encoded_pictures();
  EXPECT_GE(pictures.size(), 60u);
  for (const auto& path : pictures) {
    std::filesystem::path reference = path;
    expect_equal(read_image(path), read_ppm(reference.replace_extension(".ppm")), path.filename().string());
  }
}

TEST(Decode, InterlacedPngsOfAnySizeEqualTheirRule) {
  // Small ones have empty passes.
  std::mt19937 random(7);
  for (const auto color : {SPNG_COLOR_TYPE_GRAYSCALE, SPNG_COLOR_TYPE_TRUECOLOR, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA,
                           SPNG_COLOR_TYPE_TRUECOLOR_ALPHA}) {
    for (const std::size_t channel_bytes : {1, 2}) {
      const auto depth = static_cast<std::uint8_t>(8 * channel_bytes);
      const std::size_t stride = testing::pixel_bytes(color, depth);
      for (std::uint32_t size = 0; size < 100; ++size) {
        const std::uint32_t height = 1 + size / 10;
        const std::uint32_t width = 1 + size % 10;
        std::vector<std::uint8_t> pixels(height * width * stride);
        for (std::uint8_t& byte : pixels) byte = static_cast<std::uint8_t>(random());
        const bool grey = stride < 3 * channel_bytes;
        Image expected{static_cast<std::int32_t>(width), static_cast<std::int32_t>(height), {}};
        for (std::size_t i = 0; i < std::size_t{height} * width * 3; ++i) {
          std::uint16_t value = 0;
          std::memcpy(&value, pixels.data() + i / 3 * stride + (grey ? 0 : i % 3 * channel_bytes), channel_bytes);
          expected.pixels.push_back(static_cast<std::uint8_t>(depth == 16 ? (value + 128) / 257 : value));
        }
        for (const bool interlaced : {false, true}) {
          const auto png = testing::stored_png(pixels, height, width, color, depth, interlaced);
          expect_equal(decode(png, "x"), expected, std::to_string(height) + " x " + std::to_string(width));
        }
      }
    }
  }
}

TEST(Decode, LeavesPicturesAsStoredWithoutExif) {
  const Image stored = read_image(data_folder() / "decode/exif_1.jpg");
  DecodeOptions options;
  options.apply_exif = false;
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string name = "decode/exif_" + std::to_string(orientation) + ".jpg";
    expect_equal(read_image(data_folder() / name, options), stored, name);
  }
}

TEST(Decode, RefusesMorePixelsThanAllowed) {
  for (const char* name : {"jpeg_420.jpg", "png_filtered.png", "webp_lossy.webp"}) {
    const auto bytes = read_bytes(data_folder() / "decode" / name);
    DecodeOptions options;
    options.max_pixels = 23 * 17;
    EXPECT_EQ(decode(bytes, name, options).pixels.size(), 23u * 17 * 3);
    options.max_pixels -= 1;
    const std::string sentence = sentence_of([&] { decode(bytes, name, options); });
    EXPECT_NE(sentence.find(std::string(name) + ": size: expected at most 390 pixels (--max-pixels), found 23 x 17"),
              std::string::npos)
        << sentence;
  }
}

TEST(Decode, RefusesHugeDimensionsBeforeAllocating) {
  auto jpeg = read_bytes(data_folder() / "decode/jpeg_420.jpg");
  const auto frame = bytes_of(std::string_view("\xff\xc0\x00\x11\x08", 5));
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end());
  ASSERT_NE(at, jpeg.end());
  std::fill_n(at + 5, 4, std::byte{0xff});
  EXPECT_EQ(sentence_of([&] { decode(jpeg, "huge.jpg"); }),
            "[jpeg] huge.jpg: Maximum supported image dimension is 65500 pixels");

  const auto png =
      bytes_of(std::string_view("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x11\x70\0\x01\x11\x70\x08\x02\0\0\0\xb0\x5c\xa3"
                                "\x9c\0\0\0\0IEND\xae\x42\x60\x82",
                                45));
  EXPECT_EQ(sentence_of([&] { decode(png, "huge.png"); }),
            "[png] huge.png: size: expected sides of 1 to 65535 pixels, found 70000 x 70000");
}

TEST(Decode, SaysWhatAFileIsInstead) {
  const auto sentence = [](std::string_view text) { return sentence_of([&] { decode(bytes_of(text), "x.jpg"); }); };
  EXPECT_EQ(sentence(""), "[image] x.jpg: expected a picture, found an empty file");
  EXPECT_EQ(sentence("GIF89a"), "[image] x.jpg: expected JPEG, PNG or WebP, found a GIF image");
  EXPECT_EQ(sentence("hello, world"),
            "[image] x.jpg: expected JPEG, PNG or WebP, found a text that begins \"hello, world\"");
  EXPECT_EQ(sentence("\x01\x02\x03\x04\x05\x06\x07\x08\x0b"),
            "[image] x.jpg: expected JPEG, PNG or WebP, found bytes 01 02 03 04 05 06 07 08");
  EXPECT_EQ(sentence("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 2\n"),
            "[image] x.jpg: expected JPEG, PNG or WebP, found a Git LFS pointer (fetch the file itself with `git lfs "
            "pull`)");
  EXPECT_EQ(sentence("<!DOCTYPE html><html>"), "[image] x.jpg: expected JPEG, PNG or WebP, found an HTML page");
  EXPECT_EQ(sentence(std::string_view("PK\x03\x04\x14\0", 6)),
            "[image] x.jpg: expected JPEG, PNG or WebP, found a ZIP archive");
  EXPECT_EQ(sentence("\xff\xd8\xff"), "[jpeg] x.jpg: expected the whole picture, found a truncated file");
  EXPECT_EQ(sentence("\x89PNG\r\n\x1a\n"), "[png] x.jpg: expected the whole picture, found a truncated file");
  EXPECT_EQ(sentence(std::string_view("RIFF\x1a\0\0\0WEBPVP8 ", 16)),
            "[webp] x.jpg: expected 34 bytes, found a truncated file of 16");
}

TEST(Decode, SaysWhyAFileCannotBeRead) {
  const std::filesystem::path missing = data_folder() / "no_such_picture.jpg";
  EXPECT_EQ(sentence_of([&] { read_image(missing); }), "[image] " + missing.string() + ": no such file");
  EXPECT_EQ(sentence_of([&] { read_image(data_folder()); }),
            "[image] " + data_folder().string() + ": expected a regular file, found a directory");
}

TEST(Decode, RefusesATruncatedPictureAtEveryLength) {
  for (const auto& path : encoded_pictures()) {
    const auto bytes = read_bytes(path);
    // What may be missing although every pixel is there: JPEG's end marker, the checksum of PNG's empty last chunk.
    const std::size_t marker = path.extension() == ".jpg" ? 2 : path.extension() == ".png" ? 4 : 0;
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const bool whole = decodes(std::span(bytes).first(length));
      EXPECT_TRUE(!whole || length + marker >= bytes.size()) << path.filename() << " cut to " << length;
    }
  }
}

TEST(Decode, SurvivesDamage) {
  std::mt19937 random(5);
  int errors = 0;
  for (const auto& path : encoded_pictures()) {
    const auto bytes = read_bytes(path);
    for (int trial = 0; trial < 200; ++trial) {
      auto damaged = bytes;
      const std::size_t flips = 1 + random() % 4;
      for (std::size_t i = 0; i < flips; ++i) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
      errors += decodes(damaged) ? 0 : 1;
    }
  }
  EXPECT_GT(errors, 1000);
}

std::vector<std::uint8_t> exif_with(std::uint8_t type, std::uint8_t value) {
  return {'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, type, 0, 1, 0, 0, 0, value, 0, 0, 0};
}

TEST(Exif, ReadsTheOrientationAndNothingElse) {
  EXPECT_EQ(exif_orientation(exif_with(3, 6)), 6);
  EXPECT_EQ(exif_orientation(exif_with(4, 8)), 8);
  EXPECT_EQ(exif_orientation(exif_with(3, 0)), 1);
  EXPECT_EQ(exif_orientation(exif_with(3, 9)), 1);
  EXPECT_EQ(exif_orientation(exif_with(2, 6)), 1);
  EXPECT_EQ(exif_orientation({}), 1);
}

TEST(Exif, SurvivesTruncationAndDamage) {
  const auto whole = exif_with(3, 6);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    // A buffer of its own, so that a sanitizer sees a read past its end.
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_EQ(exif_orientation(cut), 1);
  }
  std::mt19937 random(6);
  for (int trial = 0; trial < 20000; ++trial) {
    auto damaged = whole;
    damaged[4 + random() % (damaged.size() - 4)] = static_cast<std::uint8_t>(random());
    const int orientation = exif_orientation(damaged);
    EXPECT_TRUE(orientation >= 1 && orientation <= 8);
  }
}

}  // namespace
}  // namespace gcvit::image
