// SPDX-License-Identifier: Apache-2.0
#include "image/resize.h"

#include <cmath>

#include "tests/image/test_pictures.h"

namespace gcvit::image {
namespace {

struct Size {
  std::int32_t height;
  std::int32_t width;
};

std::string text(Size size) { return std::to_string(size.height) + "x" + std::to_string(size.width); }

std::string text(Filter filter) { return filter == Filter::kBilinear ? "bilinear" : "bicubic"; }

ByteValues plain_values() {
  ByteValues values;
  for (auto& channel : values) {
    for (std::size_t byte = 0; byte < 256; ++byte) channel[byte] = static_cast<float>(byte);
  }
  return values;
}

TEST(ResizeAntialiased, EqualsPillowBitForBit) {
  const Image wide = read_ppm(data_folder() / "wide.ppm");
  // 5x44 and 20x44 are flattened before they are widened; 29x20 and 12x37 keep a side.
  for (const Size size : {Size{29, 20}, {12, 37}, {12, 9}, {33, 41}, {5, 44}, {44, 5}, {20, 44}, {1, 1}}) {
    for (const Filter filter : {Filter::kBilinear, Filter::kBicubic}) {
      const std::string name = "pillow_" + text(filter) + "_" + text(size) + ".ppm";
      expect_equal(resize_antialiased(wide, size.height, size.width, filter), read_ppm(data_folder() / name), name);
    }
  }
}

TEST(ResizeAntialiased, KeepsAPictureOfTheSameSize) {
  const Image image = random_image(7, 11, 1);
  expect_equal(resize_antialiased(image, 7, 11, Filter::kBicubic), image, "same size");
}

TEST(ResizeAntialiased, ComputesAnyWindowAsPartOfTheWhole) {
  std::mt19937 random(2);
  const auto side = [&random](std::int32_t most) {
    return static_cast<std::int32_t>(1 + random() % static_cast<unsigned>(most));
  };
  ResizeScratch scratch;
  for (unsigned trial = 0; trial < 300; ++trial) {
    const Image image = random_image(side(40), side(40), trial);
    // Now and then a side stays, or the height shrinks alone.
    const std::int32_t height = trial % 5 == 0 ? image.height : side(60);
    const std::int32_t width = trial % 7 == 0 ? image.width : side(60);
    const Filter filter = trial % 2 == 0 ? Filter::kBicubic : Filter::kBilinear;
    const Image whole = resize_antialiased(image, height, width, filter);
    Window window;
    window.height = side(height);
    window.width = side(width);
    window.top = side(height - window.height + 1) - 1;
    window.left = side(width - window.width + 1) - 1;
    Image part{window.width, window.height,
               std::vector<std::uint8_t>(static_cast<std::size_t>(window.height * window.width) * 3)};
    Image expected = part;
    for (std::int32_t y = 0; y < window.height; ++y) {
      for (std::int32_t x = 0; x < window.width * 3; ++x) {
        expected.pixels[static_cast<std::size_t>(y * window.width * 3 + x)] =
            whole.pixels[static_cast<std::size_t>(((y + window.top) * width + window.left) * 3 + x)];
      }
    }
    resize_antialiased(image, height, width, filter, window, part.pixels, scratch);
    expect_equal(part, expected, "trial " + std::to_string(trial));
  }
}

TEST(ResizeAntialiased, RefusesWhatItCannotDo) {
  const Image image = random_image(4, 5, 3);
  std::vector<std::uint8_t> out(2 * 2 * 3);
  ResizeScratch scratch;
  EXPECT_EQ(sentence_of([&] { resize_antialiased(image, 0, 5, Filter::kBicubic); }),
            "[image] resize: expected target sides of 1 to 65535 pixels, found 5 x 0 (width x height)");
  EXPECT_EQ(sentence_of([&] { resize_antialiased(image, 4, 5, Filter::kBicubic, {3, 0, 2, 2}, out, scratch); }),
            "[image] resize: expected a window inside 5 x 4, found 2 x 2 at 0, 3 (width x height)");
  EXPECT_EQ(sentence_of([&] { resize_antialiased(image, 4, 5, Filter::kBicubic, {0, 0, 2, 3}, out, scratch); }),
            "[image] resize: expected room for 18 bytes, found 12");
  EXPECT_EQ(sentence_of([&] { resize_antialiased({5, 4, {1, 2, 3}}, 4, 4, Filter::kBicubic); }),
            "[image] pixels: expected 60 bytes, found 3");
}

TEST(ResizeTensorflow, EqualsTensorflow) {
  const Image wide = read_ppm(data_folder() / "wide.ppm");
  ResizeScratch scratch;
  for (const Size size : {Size{29, 20}, {12, 9}, {33, 41}, {5, 44}, {44, 5}, {1, 1}}) {
    for (const Filter filter : {Filter::kBilinear, Filter::kBicubic}) {
      const std::string name = "tf_" + text(filter) + "_" + text(size) + ".f32";
      const std::vector<float> expected = read_floats(data_folder() / name);
      std::vector<float> found(static_cast<std::size_t>(size.height * size.width) * 3);
      ASSERT_EQ(found.size(), expected.size()) << name;
      resize_tensorflow(wide, plain_values(), size.height, size.width, filter, found, scratch);
      for (std::size_t i = 0; i < found.size(); ++i)
        ASSERT_NEAR(found[i], expected[i], 1e-4) << name << ": value " << i;
    }
  }
}

TEST(ResizeTensorflow, KeepsAPictureOfTheSameSize) {
  const Image image = random_image(6, 9, 4);
  ResizeScratch scratch;
  for (const Filter filter : {Filter::kBilinear, Filter::kBicubic}) {
    std::vector<float> found(image.pixels.size());
    resize_tensorflow(image, plain_values(), 6, 9, filter, found, scratch);
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], static_cast<float>(image.pixels[i])) << i;
  }
}

}  // namespace
}  // namespace gcvit::image
