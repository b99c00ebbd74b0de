// SPDX-License-Identifier: Apache-2.0
// What the model owns and what it asks of a backend, in which order.
#include "model/gcvit.h"

#include <gtest/gtest.h>

#include <iterator>
#include <algorithm>
#include <fstream>
#include <set>

#include "tests/testing/error_of.h"
#include "tests/testing/recording_backend.h"

namespace gcvit::model {
namespace {

using gcvit::testing::error_of;
using gcvit::testing::FusedRecordingBackend;
using gcvit::testing::RecordingBackend;
using Lines = std::vector<std::string>;

/// The config of tests/data/parity/nvlabs.safetensors.
GCViTConfig nvlabs_config() {
  GCViTConfig config;
  config.dim = 12;
  config.depths = {1, 2, 1, 2};
  config.heads = {2, 3, 4, 6};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 1.5;
  config.layer_scale = true;
  config.classes = 7;
  config.image_height = config.image_width = 64;
  return config;
}

GCViTConfig tiny_config() {
  GCViTConfig config;
  config.dim = 8;
  config.depths = {3, 1, 1, 2};
  config.heads = {1, 2, 4, 8};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.classes = 5;
  config.image_height = config.image_width = 64;
  config.drop_path = 0.3f;
  return config;
}

template <typename SomeBackend>
Lines lines_of(const GCViTConfig& config) {
  const GCViT model(config);
  SomeBackend backend;
  model.forward(backend, backend.input({config.image_height, config.image_width, 3}));
  EXPECT_TRUE(std::ranges::all_of(backend.handles, [](int handles) { return handles == 0; }));
  return backend.lines;
}

Lines containing(const Lines& lines, std::string_view text) {
  Lines found;
  std::ranges::copy_if(lines, std::back_inserter(found),
                       [&](const std::string& line) { return line.find(text) != std::string::npos; });
  return found;
}

/// What an "enter NAME TYPE" and its "leave" enclose.
Lines scope(const Lines& lines, const std::string& name) {
  const auto begin =
      std::ranges::find_if(lines, [&](const std::string& line) { return line.starts_with("enter " + name + " "); });
  const auto end = std::find(begin, lines.end(), "leave");
  return begin == lines.end() ? Lines{} : Lines(begin + 1, end);
}

TEST(GCViT, NamesItsParametersAsNvlabsCodeDoes) {
  std::ifstream file(GCVIT_TEST_DATA "/model/nvlabs_names.txt");
  std::set<std::string> expected;
  for (std::string line; std::getline(file, line);) expected.insert(line);
  ASSERT_EQ(expected.size(), 160u);
  const GCViT model(nvlabs_config());
  std::set<std::string> found;
  for (const Parameter* parameter : model.parameters()) {
    EXPECT_TRUE(found.insert(parameter->name + " " + to_string(parameter->dims)).second) << parameter->name;
  }
  EXPECT_EQ(found, expected);
}

TEST(GCViT, NumbersItsParametersInOrder) {
  const GCViT model(tiny_config());
  std::set<std::string> names;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& parameter = *model.parameters()[i];
    EXPECT_EQ(parameter.id, static_cast<std::int32_t>(i));
    EXPECT_TRUE(parameter.tensor.empty());
    EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name;
    count += element_count(parameter.dims);
  }
  EXPECT_EQ(model.parameter_count(), count);
  EXPECT_TRUE(containing(Lines(names.begin(), names.end()), "gamma").empty()) << "no layer scale, no gamma";
  EXPECT_TRUE(containing(Lines(names.begin(), names.end()), "levels.3.downsample").empty());
}

TEST(GCViT, HasTheParametersThatKerasPrints) {
  const GCViT model(variant_config("xxtiny"));
  const auto sum = [&](const std::string& prefix) {
    std::int64_t count = 0;
    for (const Parameter* parameter : model.parameters()) {
      if (parameter->name.starts_with(prefix)) count += element_count(parameter->dims);
    }
    return count;
  };
  EXPECT_EQ(sum("patch_embed."), 45'632);
  EXPECT_EQ(sum("levels.0."), 180'964);
  EXPECT_EQ(sum("levels.1."), 688'456);
  EXPECT_EQ(sum("levels.2."), 5'170'608);
  EXPECT_EQ(sum("levels.3."), 5'395'744);
  EXPECT_EQ(sum("norm."), 1'024);
  EXPECT_EQ(sum("head."), 513'000);
  EXPECT_EQ(model.parameter_count(), 11'995'428);
}

TEST(GCViT, RunsTheStemAndTheHead) {
  const Lines lines = lines_of<FusedRecordingBackend>(tiny_config());
  EXPECT_EQ(scope(lines, "patch_embed"),
            (Lines{"v1 = convolution3x3_stride2(v0, patch_embed.proj.weight)",
                   "v2 = layer_norm(v1, patch_embed.conv_down.norm1.weight)",
                   "v3 = depthwise_convolution3x3(v2, patch_embed.conv_down.conv.0.weight, gelu)",
                   "v4 = global_average_pool(v3)", "v5 = linear(v4, patch_embed.conv_down.conv.2.fc.0.weight, gelu)",
                   "v6 = linear(v5, patch_embed.conv_down.conv.2.fc.2.weight, sigmoid)", "v7 = scale_channels(v3, v6)",
                   "v8 = linear(v7, patch_embed.conv_down.conv.3.weight, residual v2)",
                   "v9 = convolution3x3_stride2(v8, patch_embed.conv_down.reduction.weight)",
                   "v10 = layer_norm(v9, patch_embed.conv_down.norm2.weight)"}));
  const auto tail = std::ranges::find(lines, "enter norm LayerNorm");
  const Lines expected = {"enter norm LayerNorm",
                          "vA = layer_norm(v@, norm.weight)",
                          "tap features vA",
                          "leave",
                          "enter pool GlobalAveragePooling",
                          "vB = global_average_pool(vA)",
                          "tap pooled vB",
                          "leave",
                          "enter head Linear",
                          "vC = linear(vB, head.weight)",
                          "tap logits vC",
                          "leave"};
  // The last values' numbers follow from how many there were before.
  const int last = std::stoi(lines[lines.size() - 3].substr(1));
  Lines numbered = expected;
  for (std::string& line : numbered) {
    for (const auto& [letter, number] : {std::pair{'@', last - 3}, {'A', last - 2}, {'B', last - 1}, {'C', last}}) {
      const std::string name = std::string("v") + letter;
      for (std::size_t at = line.find(name); at != std::string::npos; at = line.find(name)) {
        line.replace(at, 2, "v" + std::to_string(number));
      }
    }
  }
  EXPECT_EQ(Lines(tail, lines.end()), numbered);
}

TEST(GCViT, TakesTheQueryFromTheLevelsInput) {
  const Lines level = scope(lines_of<FusedRecordingBackend>(tiny_config()), "levels.0");
  // v10 is what the stem gives: the generator starts from it before any block, and so does the first block. Even blocks
  // attend locally, odd ones to the query. The tap comes before the downsample.
  const Lines expected = {
      "v11 = depthwise_convolution3x3(v10, levels.0.q_global_gen.to_q_global.0.conv.0.weight, gelu)",
      "v12 = global_average_pool(v11)",
      "v13 = linear(v12, levels.0.q_global_gen.to_q_global.0.conv.2.fc.0.weight, gelu)",
      "v14 = linear(v13, levels.0.q_global_gen.to_q_global.0.conv.2.fc.2.weight, sigmoid)",
      "v15 = scale_channels(v11, v14)",
      "v16 = linear(v15, levels.0.q_global_gen.to_q_global.0.conv.3.weight, residual v10)",
      "v17 = max_pool3x3_stride2(v16, neg_inf)"};
  ASSERT_GT(level.size(), expected.size());
  EXPECT_EQ(Lines(level.begin(), level.begin() + 7), expected);
  EXPECT_EQ(containing(level, "max_pool").size(), 3u) << "16x16 to 2x2";
  const auto blocks =
      std::ranges::find_if(level, [](const std::string& line) { return line.find("blocks.0") != std::string::npos; });
  EXPECT_EQ(
      Lines(blocks, blocks + 7),
      (Lines{
          "v32 = attention_sublayer(v10, levels.0.blocks.0.attn.qkv.weight, 1 heads, 2x2)",
          "v33 = mlp_sublayer(v32, levels.0.blocks.0.mlp.fc1.weight)",
          "v34 = attention_sublayer(v33, levels.0.blocks.1.attn.qkv.weight, query v31, 1 heads, 2x2, drop_path 0.05)",
          "v35 = mlp_sublayer(v34, levels.0.blocks.1.mlp.fc1.weight, drop_path 0.05)",
          "v36 = attention_sublayer(v35, levels.0.blocks.2.attn.qkv.weight, 1 heads, 2x2, drop_path 0.1)",
          "v37 = mlp_sublayer(v36, levels.0.blocks.2.mlp.fc1.weight, drop_path 0.1)", "tap level1 v37"}));
  EXPECT_EQ(*(blocks + 7), "v38 = layer_norm(v37, levels.0.downsample.norm1.weight)");
  EXPECT_TRUE(level.back().ends_with(", levels.0.downsample.norm2.weight)"));
}

TEST(GCViT, KeepsTheLastLevelsSize) {
  const Lines lines = lines_of<FusedRecordingBackend>(tiny_config());
  const Lines last = scope(lines, "levels.3");
  EXPECT_TRUE(containing(last, "max_pool").empty()) << "the map is the window";
  EXPECT_EQ(containing(last, "q_global_gen.to_q_global.0.conv.3").size(), 1u);
  EXPECT_TRUE(containing(last, "downsample").empty());
  EXPECT_TRUE(last.back().starts_with("tap level4 ")) << last.back();
  EXPECT_EQ(containing(lines, "tap ").size(), 7u);
  EXPECT_EQ(containing(lines, "Level").size(), 4u);
}

TEST(GCViT, DropPathGrowsFromZeroToItsRate) {
  // Seven blocks: 0, 0.05, ..., 0.3 exactly; both sub-layers of a block have its rate.
  const Lines sublayers = containing(lines_of<FusedRecordingBackend>(tiny_config()), "_sublayer(");
  ASSERT_EQ(sublayers.size(), 14u);
  const char* const rates[] = {"",
                               ", drop_path 0.05",
                               ", drop_path 0.1",
                               ", drop_path 0.15",
                               ", drop_path 0.2",
                               ", drop_path 0.25",
                               ", drop_path 0.3"};
  for (std::size_t i = 0; i < sublayers.size(); ++i) {
    const bool has_rate = sublayers[i].find("drop_path") != std::string::npos;
    EXPECT_EQ(has_rate, i >= 2) << sublayers[i];
    EXPECT_TRUE(sublayers[i].ends_with(std::string(rates[i / 2]) + ")")) << sublayers[i];
  }
}

/// Hears the exact drop path of each block.
class DropPathBackend final : public RecordingBackend {
 public:
  std::vector<float> rates;
  Value mlp_sublayer(const Value& x, const ops::MlpSublayer& sublayer) override {
    rates.push_back(sublayer.drop_path);
    return RecordingBackend::mlp_sublayer(x, sublayer);
  }
};

TEST(GCViT, DropPathEndsExactlyAtItsRate) {
  for (const Variant& variant : variants()) {
    const GCViT model(variant.config);
    DropPathBackend backend;
    model.forward(backend, backend.input({variant.config.image_height, variant.config.image_width, 3}));
    EXPECT_EQ(backend.rates.front(), 0.0f);
    EXPECT_EQ(backend.rates.back(), variant.config.drop_path);
    EXPECT_TRUE(std::ranges::is_sorted(backend.rates));
  }
}

TEST(GCViT, PadsItsPoolsAsTheConfigSays) {
  GCViTConfig config = tiny_config();
  config.pool_padding = ops::PoolPadding::kZero;
  const Lines pools = containing(lines_of<FusedRecordingBackend>(config), "max_pool");
  EXPECT_EQ(pools.size(), 5u);  // 16 -> 2, 8 -> 2; levels 3 and 4 keep theirs
  EXPECT_EQ(containing(pools, ", zero)"), pools);
}

TEST(GCViT, GivesEachBranchItsLayerScale) {
  const Lines lines = lines_of<RecordingBackend>(nvlabs_config());
  EXPECT_EQ(containing(containing(lines, ".attn.proj.weight"), "gamma levels.").size(), 6u);
  EXPECT_EQ(containing(lines, "levels.1.blocks.1.attn.proj.weight")[0].find("gamma levels.1.blocks.1.gamma1") ==
                std::string::npos,
            false);
  EXPECT_EQ(containing(lines, "levels.1.blocks.1.mlp.fc2.weight")[0].find("gamma levels.1.blocks.1.gamma2") ==
                std::string::npos,
            false);
}

TEST(GCViT, RefusesAnotherImageSize) {
  const GCViT model(tiny_config());
  RecordingBackend backend;
  for (const ops::Shape& other : {ops::Shape{32, 64, 3}, {64, 64, 4}, {128, 128, 3}}) {
    EXPECT_EQ(error_of([&] { model.forward(backend, backend.input(other)); }),
              "[model] expected images of 64x64x3, found " + to_string(other));
  }
  EXPECT_TRUE(std::ranges::all_of(backend.handles, [](int handles) { return handles == 0; })) << "nothing leaks";
}

}  // namespace
}  // namespace gcvit::model
