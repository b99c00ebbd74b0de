// SPDX-License-Identifier: Apache-2.0
// Models loaded for another image size than their file's, in both window modes.
#include "weights/change_image_size.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/initialise.h"
#include "tests/weights/test_files.h"
#include "weights/keras_example_bias.h"
#include "weights/load.h"
#include "weights/names.h"

namespace gcvit::weights {
namespace {

using model::WindowMode;

model::GCViTConfig tiny_config() {
  model::GCViTConfig config;
  config.dim = 8;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 2};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.classes = 5;
  config.image_height = config.image_width = 64;
  return config;
}

const model::Parameter& parameter_of(const LoadedModel& loaded, const std::string& name) {
  const auto parameters = std::as_const(*loaded.model).parameters();
  return **std::ranges::find(parameters, name, &model::Parameter::name);
}

class ChangeImageSize : public ::testing::Test {
 protected:
  ChangeImageSize() : model_(tiny_config()) { model::initialise(model_, 3); }

  /// Ours, with metadata, or another library's, without.
  formats::RawFile raw(Layout layout) const {
    formats::RawFile file{.format = "safetensors", .tensors = {}, .metadata = {}};
    for (const model::Parameter* parameter : std::as_const(model_).parameters()) {
      file.tensors.push_back(to_layout(layout, {parameter->name, parameter->tensor}));
    }
    if (layout == Layout::kCanonical) {
      ModelInfo info;
      info.config = tiny_config();
      info.preprocess_json = R"({"preset":"timm","image_size":[64,64],"crop_pct":0.9})";
      file.metadata = serialise_model_info(info);
    }
    return file;
  }

  LoadedModel load(Layout layout, ImageSize size, WindowMode mode) const {
    return load_model(raw(layout), "m", {.image_size = size, .window_mode = mode, .classes = {}});
  }

  model::GCViT model_;
};

constexpr const char* kTable = "levels.1.blocks.1.attn.relative_position_bias_table";

TEST_F(ChangeImageSize, ExactWindowsResizeTheTablesAndNothingElse) {
  for (const Layout layout : {Layout::kCanonical, Layout::kTimm, Layout::kNvlabs}) {
    const LoadedModel loaded = load(layout, {96, 160}, WindowMode::kExact);
    EXPECT_EQ(loaded.info.config, model::with_image_size(tiny_config(), {96, 160}, WindowMode::kExact));
    EXPECT_EQ(loaded.info.config.windows[2], (ops::Window{6, 10}));
    EXPECT_TRUE(loaded.report.mismatched.empty());
    const std::vector<std::string>& lines = loaded.info.source.inferred;
    ASSERT_GE(lines.size(), 2u);
    EXPECT_EQ(lines[lines.size() - 2], "image size 96x160 as asked instead of 64x64");
    EXPECT_EQ(
        lines.back(),
        "windows 3x5, 3x5, 6x10, 3x5 instead of 2x2, 2x2, 4x4, 2x2, relative position bias tables resized to them "
        "bicubically");
    for (const model::Parameter* before : std::as_const(model_).parameters()) {
      const model::Parameter& after = parameter_of(loaded, before->name);
      EXPECT_EQ(after.tensor.dims(), after.dims) << before->name;
      if (before->role == ops::Role::kBiasTable) continue;
      EXPECT_TRUE(std::ranges::equal(after.tensor.values(), before->tensor.values())) << before->name;
    }
    EXPECT_EQ(parameter_of(loaded, kTable).dims, (Dims{5 * 9, 2}));
  }
}

TEST_F(ChangeImageSize, TablesAreReadAsTheKerasExampleDoesBeforeTheyAreResized) {
  const LoadedModel loaded = load_model(raw(Layout::kNvlabs), "m",
                                        {.image_size = ImageSize{96, 160}, .classes = {}, .keras_example_bias = true});
  const auto parameters = std::as_const(model_).parameters();
  const Tensor& table = (*std::ranges::find(parameters, kTable, &model::Parameter::name))->tensor;
  const Tensor expected = resize_bias_table(keras_example_bias_table(table), {2, 2}, {3, 5});
  EXPECT_TRUE(std::ranges::equal(parameter_of(loaded, kTable).tensor.values(), expected.values()));
}

TEST_F(ChangeImageSize, FixedWindowsLeaveAllTensorsAsTheyAre) {
  const LoadedModel loaded = load(Layout::kTimm, {96, 160}, WindowMode::kFixed);
  EXPECT_EQ(loaded.info.config, model::with_image_size(tiny_config(), {96, 160}, WindowMode::kFixed));
  const std::vector<std::string>& lines = loaded.info.source.inferred;
  ASSERT_GE(lines.size(), 2u);
  EXPECT_EQ(lines[lines.size() - 2], "image size 96x160 as asked instead of 64x64");
  EXPECT_EQ(lines.back(),
            "windows stay 2x2, 2x2, 4x4, 2x2 as for 64x64 images: maps are padded to whole windows, queries resized");
  for (const model::Parameter* before : std::as_const(model_).parameters()) {
    EXPECT_TRUE(std::ranges::equal(parameter_of(loaded, before->name).tensor.values(), before->tensor.values()));
  }
}

TEST_F(ChangeImageSize, TheSameSizeChangesNothing) {
  for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
    const LoadedModel loaded = load(Layout::kCanonical, {64, 64}, mode);
    EXPECT_EQ(loaded.info.config, tiny_config());
    EXPECT_TRUE(loaded.info.source.inferred.empty());
  }
}

TEST_F(ChangeImageSize, WhatIsSavedLoadsWithoutBeingAsked) {
  const TemporaryFolder folder;
  for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
    const LoadedModel changed = load(Layout::kCanonical, {96, 160}, mode);
    EXPECT_EQ(changed.info.preprocess_json, R"({"preset":"timm","image_size":[96,160],"crop_pct":0.9})");
    save_model(folder / "m.safetensors", *changed.model, changed.info);
    const LoadedModel again = load_model(folder / "m.safetensors");
    EXPECT_EQ(again.info.config, changed.info.config);
    EXPECT_EQ(again.info.preprocess_json, changed.info.preprocess_json);
    EXPECT_TRUE(
        std::ranges::equal(parameter_of(again, kTable).tensor.values(), parameter_of(changed, kTable).tensor.values()));
  }
}

TEST_F(ChangeImageSize, ASizeThatFitsNeitherModeIsRefused) {
  for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
    EXPECT_EQ(error_of([&] { load(Layout::kNvlabs, {100, 64}, mode); }),
              "[weights] m: image size 100x64: expected sides that are multiples of 32: the nearest are 96 or 128 for "
              "the height");
  }
}

TEST_F(ChangeImageSize, TablesOfOtherWindowsThanTheFilesAreRefused) {
  formats::RawFile file = raw(Layout::kCanonical);
  std::ranges::find(file.tensors, kTable, &formats::NamedTensor::name)->tensor = Tensor(DType::kF32, {45, 2});
  EXPECT_EQ(
      error_of([&] { load_model(file, "m", {.image_size = ImageSize{96, 160}, .classes = {}}); }),
      std::string("[weights] m: 1 tensor is of another shape (\"") + kTable + "\": expected [9, 2], found [45, 2])");
}

TEST(BiasTable, AConstantStaysAndARampStaysARamp) {
  const ops::Window from{7, 5};
  const ops::Window to{9, 4};
  Tensor table(DType::kF32, {13 * 9, 2});
  for (std::int64_t y = 0; y < 13; ++y) {
    for (std::int64_t x = 0; x < 9; ++x) {
      table.mutable_values()[static_cast<std::size_t>((y * 9 + x) * 2)] = 3.5f;
      table.mutable_values()[static_cast<std::size_t>((y * 9 + x) * 2 + 1)] = static_cast<float>(y);
    }
  }
  const Tensor resized = resize_bias_table(table, from, to);
  ASSERT_EQ(resized.dims(), (Dims{17 * 7, 2}));
  for (std::int64_t y = 0; y < 17; ++y) {
    const double centre = (static_cast<double>(y) + 0.5) * 13 / 17 - 0.5;
    for (std::int64_t x = 0; x < 7; ++x) {
      EXPECT_NEAR(resized.values()[static_cast<std::size_t>((y * 7 + x) * 2)], 3.5, 1e-5);
      // Keys' kernel with a = -0.75 bends a ramp by less than this between the samples; edges are flat.
      if (y < 2 || y > 14) continue;
      EXPECT_NEAR(resized.values()[static_cast<std::size_t>((y * 7 + x) * 2 + 1)], centre, 0.06) << y << " " << x;
    }
  }
}

}  // namespace
}  // namespace gcvit::weights
