// SPDX-License-Identifier: Apache-2.0
// The table of published variants, and the sentence for every rule that a config can break.
#include "model/config.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "model/gcvit.h"
#include "tests/testing/error_of.h"

namespace gcvit::model {
namespace {

using gcvit::testing::error_of;
using Four = std::array<std::int32_t, kLevels>;

struct Published {
  std::string name;
  std::int32_t dim;
  Four depths;
  Four heads;
  double mlp_ratio;
  bool layer_scale;
  float drop_path;
  std::int32_t image_size;
  Four windows;
  std::int64_t parameters;  ///< as timm 1.0.31 counts them with these settings; xxtiny's is Keras' number too
  double top1;
};

const std::vector<Published>& published() {
  static const std::vector<Published> kTable = {
      {"xxtiny", 64, {2, 2, 6, 2}, {2, 4, 8, 16}, 3, false, 0.2f, 224, {7, 7, 14, 7}, 11'995'428, 79.9},
      {"xtiny", 64, {3, 4, 6, 5}, {2, 4, 8, 16}, 3, false, 0.2f, 224, {7, 7, 14, 7}, 19'981'294, 82.0},
      {"tiny", 64, {3, 4, 19, 5}, {2, 4, 8, 16}, 3, false, 0.2f, 224, {7, 7, 14, 7}, 28'221'974, 83.5},
      {"tiny2", 64, {3, 4, 29, 5}, {2, 4, 8, 16}, 3, false, 0.25f, 224, {7, 7, 14, 7}, 34'535'654, 83.7},
      {"small", 96, {3, 4, 19, 5}, {3, 6, 12, 24}, 2, true, 0.3f, 224, {7, 7, 14, 7}, 51'092'173, 84.3},
      {"small2", 96, {3, 4, 23, 5}, {3, 6, 12, 24}, 3, true, 0.35f, 224, {7, 7, 14, 7}, 68'615'197, 84.8},
      {"base", 128, {3, 4, 19, 5}, {4, 8, 16, 32}, 2, true, 0.5f, 224, {7, 7, 14, 7}, 90'320'836, 85.0},
      {"large", 192, {3, 4, 19, 5}, {6, 12, 24, 48}, 2, true, 0.5f, 224, {7, 7, 14, 7}, 202'075'570, 85.7},
      {"large_384", 192, {3, 4, 19, 5}, {6, 12, 24, 48}, 2, true, 0.1f, 384, {12, 12, 24, 12}, 202'860'610, 87.4},
      {"large_512", 192, {3, 4, 19, 5}, {6, 12, 24, 48}, 2, true, 0.1f, 512, {16, 16, 32, 16}, 203'795'362, 87.6},
  };
  return kTable;
}

TEST(Variants, AreThePublishedOnes) {
  ASSERT_EQ(variants().size(), published().size());
  for (std::size_t i = 0; i < published().size(); ++i) {
    const Published& expected = published()[i];
    SCOPED_TRACE(expected.name);
    const Variant& variant = variants()[i];
    const GCViTConfig& config = variant.config;
    EXPECT_EQ(variant.name, expected.name);
    EXPECT_EQ(variant.published_top1, expected.top1);
    EXPECT_EQ(config.dim, expected.dim);
    EXPECT_EQ(config.depths, expected.depths);
    EXPECT_EQ(config.heads, expected.heads);
    EXPECT_EQ(config.mlp_ratio, expected.mlp_ratio);
    EXPECT_EQ(config.layer_scale, expected.layer_scale);
    EXPECT_EQ(config.drop_path, expected.drop_path);
    EXPECT_EQ(config.image_height, expected.image_size);
    EXPECT_EQ(config.image_width, expected.image_size);
    EXPECT_EQ(config.classes, 1000);
    EXPECT_EQ(config.pool_padding, ops::PoolPadding::kNegativeInfinity);
    const Four reductions{3, 2, 0, 0};
    for (int level = 0; level < kLevels; ++level) {
      const auto l = static_cast<std::size_t>(level);
      EXPECT_EQ(config.windows[l], (ops::Window{expected.windows[l], expected.windows[l]}));
      EXPECT_EQ(config.channels(level) / config.heads[l], 32);
      EXPECT_EQ(config.query_reductions(level), reductions[l]);
    }
    EXPECT_EQ(error_of([&] { validate(config); }), "no error");
    EXPECT_EQ(GCViT(config).parameter_count(), expected.parameters);
  }
}

TEST(Variants, AreFoundByName) {
  EXPECT_EQ(&variant_config("gcvit_small2"), &variant_config("small2"));
  GCViTConfig xxtiny;
  xxtiny.drop_path = 0.2f;
  EXPECT_EQ(variant_config("xxtiny"), xxtiny);
  for (const std::string name : {"huge", "", "gcvit_", "gcvit_gcvit_tiny", "TINY"}) {
    EXPECT_EQ(error_of([&] { variant_config(name); }),
              "[config] unknown variant \"" + name +
                  "\": expected one of xxtiny, xtiny, tiny, tiny2, small, small2, base, large, large_384, large_512");
  }
}

TEST(Variants, AreRecognised) {
  for (const Variant& variant : variants()) {
    GCViTConfig config = variant.config;
    EXPECT_EQ(variant_name(config), variant.name);
    config.classes = 5;
    config.pool_padding = ops::PoolPadding::kZero;
    config.head_activation = HeadActivation::kSoftmax;
    config.drop_path = 0.0f;
    EXPECT_EQ(variant_name(config), variant.name) << "these make no other architecture";
    config.depths[2] += 1;
    EXPECT_EQ(variant_name(config), "custom");
  }
  GCViTConfig larger = variant_config("tiny");
  larger.image_height = larger.image_width = 448;
  EXPECT_EQ(variant_name(larger), "custom");
}

TEST(Config, SizesThatFollow) {
  GCViTConfig config;
  EXPECT_EQ(config.channels(0), 64);
  EXPECT_EQ(config.channels(3), 512);
  EXPECT_EQ(config.map(0), (ops::Window{56, 56}));
  EXPECT_EQ(config.map(3), (ops::Window{7, 7}));
  EXPECT_EQ(config.hidden_channels(1), 384);
  config.mlp_ratio = 2.7;
  EXPECT_EQ(config.hidden_channels(0), 172);  // rounded down, as the references do
  EXPECT_EQ(config.squeezed_channels(96), 24);
  config.image_width = 448;
  EXPECT_EQ(config.map(2), (ops::Window{14, 28}));
}

std::string refusal(const std::function<void(GCViTConfig&)>& change) {
  GCViTConfig config;
  change(config);
  const std::string sentence = error_of([&] { validate(config); });
  EXPECT_EQ(error_of([&] { GCViT model(config); }), sentence);
  return sentence;
}

TEST(Validate, RefusesSizesOutOfRange) {
  for (const std::int32_t dim : {0, 2, -4, 66, 4100}) {
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.dim = dim; }),
              "[config] dim: expected a multiple of 4 from 4 to 4096, found " + std::to_string(dim));
  }
  for (const std::int32_t classes : {0, -1, 1'000'001}) {
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.classes = classes; }),
              "[config] classes: expected 1 to 1,000,000, found " + std::to_string(classes));
  }
  for (const double ratio : {0.0, -1.0, 64.5, 0.001, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.mlp_ratio = ratio; }).substr(0, 19), "[config] mlp_ratio:");
  }
  for (const std::int32_t size : {0, 16, 225, -32, 16416}) {
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.image_height = size; }),
              "[config] image height: expected a multiple of 32 from 32 to 16384, found " + std::to_string(size));
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.image_width = size; }),
              "[config] image width: expected a multiple of 32 from 32 to 16384, found " + std::to_string(size));
  }
}

TEST(Validate, RefusesLevelsThatDoNotFit) {
  for (const std::int32_t depth : {0, -1, 1001}) {
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.depths[2] = depth; }),
              "[config] level3: expected 1 to 1000 blocks, found " + std::to_string(depth));
  }
  for (const std::int32_t heads : {0, -2, 3, 128}) {
    EXPECT_EQ(refusal([&](GCViTConfig& config) { config.heads[0] = heads; }),
              "[config] level1: expected a number of heads that divides 64 channels, found " + std::to_string(heads));
  }
  // Windows that don't tile the map, aren't reached by halving, or are reached differently in height and width.
  for (const ops::Window window : {ops::Window{0, 7}, ops::Window{7, -7}, ops::Window{5, 5}, ops::Window{8, 8},
                                   ops::Window{14, 7}, ops::Window{112, 112}}) {
    EXPECT_EQ(
        refusal([&](GCViTConfig& config) { config.windows[1] = window; }),
        fmt::format("[config] level2: a 28x28 map can't be halved to its {}x{} window", window.height, window.width));
  }
  EXPECT_EQ(refusal([](GCViTConfig& config) {
              config.image_height = config.image_width = 192;  // 48x48: whole 16x16 windows, but three a side
              config.windows[0] = {16, 16};
            }),
            "[config] level1: a 48x48 map can't be halved to its 16x16 window");
}

TEST(Validate, TakesWhatIsOdd) {
  GCViTConfig config;
  config.dim = 4;
  config.depths = {1, 1, 1, 1};
  config.heads = {1, 8, 1, 32};
  config.mlp_ratio = 0.25;
  config.classes = 1;
  config.image_height = 64;
  config.image_width = 96;
  config.windows = {{{2, 3}, {8, 12}, {4, 6}, {2, 3}}};
  EXPECT_EQ(error_of([&] { validate(config); }), "no error");
  EXPECT_EQ(config.query_reductions(0), 3);
  EXPECT_EQ(config.query_reductions(1), 0);
  EXPECT_GT(GCViT(config).parameter_count(), 0);
}

}  // namespace
}  // namespace gcvit::model
