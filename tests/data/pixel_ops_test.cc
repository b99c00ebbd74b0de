// SPDX-License-Identifier: Apache-2.0
#include "data/pixel_ops.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "data/rand_augment.h"
#include "tests/image/test_pictures.h"

namespace gcvit::data {
namespace {

constexpr std::array<std::uint8_t, 3> kFill = {124, 116, 104};

image::Image wide() { return image::read_ppm(std::string(GCVIT_TEST_DATA) + "/image/wide.ppm"); }
Pixels view_of(image::Image& image) { return {image.pixels, image.height, image.width}; }

TEST(RandAugment, EachOperationIsWhatTimmDoes) {
  // tools/make_data_references.py timm
  std::vector<std::uint8_t> copy;
  for (int i = 0; i < kPixelOperations; ++i) {
    const auto operation = static_cast<PixelOperation>(i);
    for (const bool backwards : {false, true}) {
      const std::string name = std::string(to_string(operation)) + (backwards ? "_m" : "_p");
      const std::filesystem::path path = std::string(GCVIT_TEST_DATA) + "/data/augment/" + name + ".ppm";
      if (!std::filesystem::exists(path)) {
        EXPECT_TRUE(backwards) << name;
        continue;
      }
      const image::Image expected = image::read_ppm(path);
      image::Image found = wide();
      apply_operation(operation, 7.0, backwards, view_of(found), kFill, copy);
      // Pillow rounds a rotation's sine to 15 digits.
      const bool interpolates = operation == PixelOperation::kRotate;
      std::size_t different = 0;
      for (std::size_t k = 0; k < expected.pixels.size(); ++k) {
        const int distance = std::abs(int{found.pixels[k]} - int{expected.pixels[k]});
        ASSERT_LE(distance, interpolates ? 1 : 0) << name << ": byte " << k;
        different += distance > 0;
      }
      EXPECT_LE(different, expected.pixels.size() / 100) << name;
    }
  }
}

TEST(RandAugment, WithoutStrengthOrLayersPixelsStay) {
  const image::Image before = wide();
  std::vector<std::uint8_t> copy;
  image::Image after = before;
  Random random(1, 2);
  rand_augment(view_of(after), 0, 9.0, kFill, random, copy);
  EXPECT_EQ(after.pixels, before.pixels);
  for (const PixelOperation operation :
       {PixelOperation::kRotate, PixelOperation::kSolarizeAdd, PixelOperation::kColor, PixelOperation::kContrast,
        PixelOperation::kBrightness, PixelOperation::kSharpness, PixelOperation::kShearX, PixelOperation::kTranslateY,
        PixelOperation::kSolarize}) {
    apply_operation(operation, 0.0, false, view_of(after), kFill, copy);
    EXPECT_EQ(after.pixels, before.pixels) << to_string(operation);
  }
}

TEST(RandAugment, ItsRandomNumbersDecide) {
  std::vector<std::uint8_t> copy;
  std::size_t changed = 0;
  for (std::uint64_t stream = 0; stream < 200; ++stream) {
    image::Image one = wide();
    image::Image same = wide();
    Random random(1, stream);
    Random again(1, stream);
    rand_augment(view_of(one), 2, 9.0, kFill, random, copy);
    rand_augment(view_of(same), 2, 9.0, kFill, again, copy);
    ASSERT_EQ(one.pixels, same.pixels);
    changed += one.pixels != wide().pixels;
  }
  // Two operations, each half the time.
  EXPECT_NEAR(static_cast<double>(changed), 150.0, 25.0);
}

TEST(PixelOps, OnePixelAndOneColour) {
  std::vector<std::uint8_t> copy;
  for (int i = 0; i < kPixelOperations; ++i) {
    image::Image dot{1, 1, {10, 20, 30}};
    apply_operation(static_cast<PixelOperation>(i), 10.0, false, view_of(dot), kFill, copy);
    image::Image plain{5, 4, std::vector<std::uint8_t>(60, 77)};
    apply_operation(static_cast<PixelOperation>(i), 10.0, true, view_of(plain), kFill, copy);
  }
  image::Image plain{2, 1, {7, 7, 7, 7, 7, 7}};
  auto_contrast(view_of(plain));
  equalize(view_of(plain));
  EXPECT_EQ(plain.pixels, std::vector<std::uint8_t>(6, 7));
}

TEST(PixelOps, MirrorTurnsRowsRound) {
  image::Image odd{3, 2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19}};
  mirror(view_of(odd));
  EXPECT_EQ(odd.pixels, (std::vector<std::uint8_t>{7, 8, 9, 4, 5, 6, 1, 2, 3, 17, 18, 19, 14, 15, 16, 11, 12, 13}));
}

}  // namespace
}  // namespace gcvit::data
