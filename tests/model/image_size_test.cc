// SPDX-License-Identifier: Apache-2.0
// What a config becomes at another image size, and what it refuses to become.
#include "model/image_size.h"

#include <gtest/gtest.h>

#include "model/gcvit.h"
#include "tests/testing/error_of.h"
#include "tests/testing/recording_backend.h"

namespace gcvit::model {
namespace {

using gcvit::testing::error_of;

using Windows = std::array<ops::Window, kLevels>;

TEST(ExactWindows, FollowTheImageInEveryVariant) {
  for (const Variant& variant : variants()) {
    for (const ImageSize size : {ImageSize{256, 256}, ImageSize{288, 224}, ImageSize{384, 512}, ImageSize{32, 64}}) {
      const GCViTConfig config = with_image_size(variant.config, size, WindowMode::kExact);
      const ops::Window whole{size.height / 32, size.width / 32};
      const ops::Window doubled{size.height / 16, size.width / 16};
      EXPECT_EQ(config.windows, (Windows{whole, whole, doubled, whole}));
      EXPECT_EQ(config.image_size(), size);
      EXPECT_FALSE(config.native_image);
      EXPECT_EQ(error_of([&] { validate(config); }), "no error");
      for (int level = 0; level < kLevels; ++level) {
        EXPECT_EQ(config.query_reductions(level), variant.config.query_reductions(level));
      }
    }
  }
  GCViTConfig large = with_image_size(variant_config("large"), {384, 384}, WindowMode::kExact);
  large.drop_path = variant_config("large_384").drop_path;
  EXPECT_EQ(large, variant_config("large_384"));
}

TEST(ExactWindows, AreThoseThatTheQueryGeneratorsReach) {
  GCViTConfig config;
  config.windows[2] = {7, 7};  // one halving in level3, where published models have none
  EXPECT_EQ(with_image_size(config, {256, 320}, WindowMode::kExact).windows,
            (Windows{{{8, 10}, {8, 10}, {8, 10}, {8, 10}}}));
}

TEST(FixedWindows, StayAndRememberTheirImageSize) {
  const GCViTConfig& native = variant_config("tiny");
  const GCViTConfig config = with_image_size(native, {256, 320}, WindowMode::kFixed);
  EXPECT_EQ(config.windows, native.windows);
  EXPECT_EQ(config.image_size(), (ImageSize{256, 320}));
  EXPECT_EQ(config.native_image, (ImageSize{224, 224}));
  EXPECT_EQ(error_of([&] { validate(config); }), "no error");
  EXPECT_EQ(config.query_reductions(0), 3);
  EXPECT_EQ(config.query_reductions(2), 0);
  // From there on: the same size is the same config in either mode, and the way back is open.
  EXPECT_EQ(with_image_size(config, {256, 320}, WindowMode::kExact), config);
  EXPECT_EQ(with_image_size(config, {64, 32}, WindowMode::kFixed).native_image, (ImageSize{224, 224}));
  EXPECT_EQ(with_image_size(config, {224, 224}, WindowMode::kFixed), native);
  EXPECT_EQ(with_image_size(config, {384, 320}, WindowMode::kExact),
            with_image_size(native, {384, 320}, WindowMode::kExact));
}

TEST(ImageSize, IsRefusedWithTheNearestThatFit) {
  for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
    const auto refusal = [&](ImageSize size) { return error_of([&] { with_image_size(GCViTConfig(), size, mode); }); };
    EXPECT_EQ(
        refusal({250, 300}),
        "[config] image size 250x300: expected sides that are multiples of 32: the nearest are 224 or 256 for the "
        "height, 288 or 320 for the width");
    EXPECT_EQ(
        refusal({256, 300}),
        "[config] image size 256x300: expected sides that are multiples of 32: the nearest are 288 or 320 for the "
        "width");
    EXPECT_EQ(
        refusal({225, 224}),
        "[config] image size 225x224: expected sides that are multiples of 32: the nearest are 224 or 256 for the "
        "height");
    EXPECT_EQ(
        refusal({0, 20000}),
        "[config] image size 0x20000: expected sides that are multiples of 32: the nearest are 32 for the height, "
        "16384 for the width");
    EXPECT_EQ(refusal({-64, 64}),
              "[config] image size -64x64: expected sides that are multiples of 32: the nearest are 32 for the height");
  }
  // A generator that halves once more than the published ones needs maps that are even once more.
  GCViTConfig config;
  config.image_height = config.image_width = 448;
  config.windows = {{{7, 7}, {7, 7}, {28, 28}, {14, 14}}};
  EXPECT_EQ(error_of([&] { with_image_size(config, {96, 128}, WindowMode::kFixed); }),
            "[config] image size 96x128: expected sides that are multiples of 64: the nearest are 64 or 128 for the "
            "height");
  EXPECT_EQ(error_of([&] { validate(with_image_size(config, {192, 128}, WindowMode::kFixed)); }), "no error");
}

TEST(Validate, ChecksTheNativeImageSizeToo) {
  GCViTConfig config = with_image_size(GCViTConfig(), {256, 320}, WindowMode::kFixed);
  config.native_image = ImageSize{224, 100};
  EXPECT_EQ(error_of([&] { validate(config); }),
            "[config] native image width: expected a multiple of 32 from 32 to 16384, found 100");
  config.native_image = ImageSize{256, 256};
  EXPECT_EQ(error_of([&] { validate(config); }), "[config] level1: a 64x64 map can't be halved to its 7x7 window");
  config.native_image = ImageSize{448, 448};
  config.windows = {{{7, 7}, {14, 14}, {28, 28}, {14, 14}}};
  EXPECT_EQ(error_of([&] { validate(config); }), "no error");
  config.image_height = 224;
  EXPECT_EQ(error_of([&] { validate(config); }),
            "[config] level1: a 56x80 map can't be halved 4 times, as for its global query");
}

TEST(Variants, AreRecognisedAtOtherImageSizes) {
  for (const Variant& variant : variants()) {
    const std::string_view name = variant.name.starts_with("large") ? "large" : variant.name;
    for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
      EXPECT_EQ(variant_name(with_image_size(variant.config, {256, 320}, mode)), name);
    }
  }
  EXPECT_EQ(variant_name(with_image_size(variant_config("large"), {384, 384}, WindowMode::kExact)), "large_384");
}

/// The lines of a model's forward that begin with this operation.
int count(const GCViTConfig& config, const std::string& operation) {
  const GCViT model(config);
  gcvit::testing::RecordingBackend backend;
  model.forward(backend, backend.input({config.image_height, config.image_width, 3}));
  int found = 0;
  for (const std::string& line : backend.lines) {
    found += line.find(" = " + operation + "(") != std::string::npos;
  }
  return found;
}

TEST(FixedWindows, PadEachBlockAndResizeEachQueryThatNeedsIt) {
  GCViTConfig native;
  native.depths = {2, 3, 2, 1};
  for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
    // Maps 64x72, 32x36, 16x18, 8x9: none is made of whole windows and no query fits. At 448 all maps are and none does.
    const GCViTConfig odd = with_image_size(native, {256, 288}, mode);
    const GCViTConfig doubled = with_image_size(native, {448, 448}, mode);
    const bool fixed = mode == WindowMode::kFixed;
    EXPECT_EQ(count(odd, "pad_bottom_right"), fixed ? 8 : 0);
    EXPECT_EQ(count(odd, "crop"), fixed ? 8 : 0);
    EXPECT_EQ(count(odd, "resize_bicubic"), fixed ? 4 : 0);
    EXPECT_EQ(count(doubled, "pad_bottom_right"), 0);
    EXPECT_EQ(count(doubled, "resize_bicubic"), fixed ? 4 : 0);
  }
  EXPECT_EQ(count(native, "resize_bicubic"), 0);
}

}  // namespace
}  // namespace gcvit::model
