// SPDX-License-Identifier: Apache-2.0
#include "weights/infer_config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/gcvit.h"
#include "tests/weights/test_files.h"

namespace gcvit::weights {
namespace {

/// A config's tensors: names and shapes; all share one buffer, as nothing reads values here.
std::vector<formats::NamedTensor> tensors_of(const model::GCViTConfig& config) {
  const model::GCViT model(config);
  std::int64_t largest = 0;
  for (const model::Parameter* parameter : model.parameters()) {
    largest = std::max(largest, element_count(parameter->dims));
  }
  const auto buffer = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(largest));
  std::vector<formats::NamedTensor> tensors;
  for (const model::Parameter* parameter : model.parameters()) {
    const auto size = static_cast<std::size_t>(element_count(parameter->dims));
    tensors.push_back({parameter->name, Tensor(DType::kU8, parameter->dims, buffer, std::span(*buffer).first(size))});
  }
  return tensors;
}

model::GCViTConfig tiny_config() {
  model::GCViTConfig config;
  config.dim = 8;
  config.depths = {1, 2, 3, 1};
  config.heads = {1, 2, 4, 2};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 2.5;
  config.layer_scale = true;
  config.classes = 5;
  config.image_height = config.image_width = 64;
  return config;
}

Tensor& tensor_of(std::vector<formats::NamedTensor>& tensors, const std::string& name) {
  return std::ranges::find(tensors, name, &formats::NamedTensor::name)->tensor;
}

void remove(std::vector<formats::NamedTensor>& tensors, const std::string& prefix) {
  std::erase_if(tensors, [&](const formats::NamedTensor& tensor) { return tensor.name.starts_with(prefix); });
}

std::string refusal(const std::vector<formats::NamedTensor>& tensors, const InferOptions& options = {}) {
  return error_of([&] { infer_config(tensors, "m", options); });
}

TEST(InferConfig, FindsEveryPublishedVariant) {
  for (const model::Variant& variant : model::variants()) {
    model::GCViTConfig expected = variant.config;
    expected.drop_path = 0.0f;  // no tensor tells it
    EXPECT_EQ(infer_config(tensors_of(expected), "m").config, expected) << variant.name;
  }
}

TEST(InferConfig, FindsOddConfigsAndSaysWhy) {
  const InferredConfig inferred = infer_config(tensors_of(tiny_config()), "m");
  EXPECT_EQ(inferred.config, tiny_config());
  EXPECT_EQ(inferred.reasons,
            (std::vector<std::string>{"dim 8 from patch_embed.proj.weight", "depths 1, 2, 3, 1 from the blocks counted",
                                      "heads 1, 2, 4, 2 and windows 2, 2, 4, 2 from the relative position bias tables",
                                      "mlp_ratio 2.5 from levels.3.blocks.0.mlp.fc1.weight",
                                      "layer scale, as there is levels.0.blocks.0.gamma1", "classes 5 from head.weight",
                                      "image size 64 from 3 halvings of level1's map to its window of 2"}));
}

/// hidden = floor(ratio * channels) must come out the same in every level, whatever the ratio was.
TEST(InferConfig, MlpRatiosGiveTheSameWidths) {
  for (const double ratio : {0.3, 1.0 / 3.0, 1.7, 2.33, 3.999, 49.0 / 48.0, 4.0}) {
    for (const std::int32_t dim : {8, 12, 20, 44, 96, 100}) {
      model::GCViTConfig config = tiny_config();
      config.dim = dim;
      config.heads = {1, 1, 1, 1};
      config.mlp_ratio = ratio;
      const model::GCViTConfig inferred = infer_config(tensors_of(config), "m").config;
      for (int level = 0; level < model::kLevels; ++level) {
        EXPECT_EQ(inferred.hidden_channels(level), config.hidden_channels(level)) << ratio << " " << dim;
      }
    }
  }
}

TEST(InferConfig, TheTensorsTellTheModelsOwnImageSizeWhateverIsGiven) {
  const model::GCViTConfig config = tiny_config();
  for (const ImageSize given : {ImageSize{64, 64}, ImageSize{128, 96}, ImageSize{1, 2}}) {
    EXPECT_EQ(infer_config(tensors_of(config), "m", {.image_size = given, .classes = {}}).config, config);
  }
}

TEST(InferConfig, AsksForTheImageSizeWhereOneExtractionLeavesItOpen) {
  model::GCViTConfig config = tiny_config();
  config.windows[0] = {8, 8};  // one extraction that pools; a 32 px image would have one that keeps the size
  EXPECT_EQ(refusal(tensors_of(config)),
            "[weights] m: the image size can't be inferred from a single feature extraction in level1: give "
            "--image-size");
  const InferredConfig inferred =
      infer_config(tensors_of(config), "m", {.image_size = ImageSize{64, 64}, .classes = {}});
  EXPECT_EQ(inferred.config, config);
  EXPECT_EQ(inferred.reasons.back(), "image size 64x64 as given: a single feature extraction in level1 leaves it open");
  // What is given must agree with the rest.
  EXPECT_EQ(refusal(tensors_of(config), {.image_size = ImageSize{128, 128}, .classes = {}}),
            "[weights] m: level1 has 1 feature extractions: a 128x128 image, whose map is 32x32 there, and windows of "
            "8 need 2");
  EXPECT_EQ(refusal(tensors_of(config), {.image_size = ImageSize{96, 96}, .classes = {}}),
            "[weights] m: the tensors give no GCViT: level1: a 24x24 map can't be halved to its 8x8 window");
}

TEST(InferConfig, GeneratorsMustAgree) {
  std::vector<formats::NamedTensor> tensors = tensors_of(tiny_config());
  remove(tensors, "levels.1.q_global_gen.to_q_global.1.");
  EXPECT_EQ(refusal(tensors),
            "[weights] m: level2 has 1 feature extractions: a 64x64 image, whose map is 8x8 there, and windows of 2 "
            "need 2");
}

TEST(InferConfig, NamesWhatIsMissing) {
  const std::pair<std::string, std::string> cases[] = {
      {"patch_embed.proj.weight", "no patch_embed.proj.weight, which tells dim"},
      {"levels.2.blocks.", "no levels.2.blocks.0: expected 4 levels of blocks"},
      {"levels.3.q_global_gen.", "no levels.3.q_global_gen.to_q_global.0"},
      {"levels.1.blocks.0.attn.rel", "no levels.1.blocks.0.attn.relative_position_bias_table, which tells the heads"},
      {"levels.3.blocks.0.mlp.fc1", "no levels.3.blocks.0.mlp.fc1.weight, which tells mlp_ratio"},
      {"head.", "no head.weight, which tells the classes"},
  };
  for (const auto& [prefix, sentence] : cases) {
    std::vector<formats::NamedTensor> tensors = tensors_of(tiny_config());
    remove(tensors, prefix);
    EXPECT_EQ(refusal(tensors), "[weights] m: " + sentence);
  }
}

TEST(InferConfig, AHeadlessFileTakesTheClassesAskedFor) {
  std::vector<formats::NamedTensor> tensors = tensors_of(tiny_config());
  remove(tensors, "head.");
  EXPECT_EQ(infer_config(tensors, "m", {.image_size = {}, .classes = 7}).config.classes, 7);
}

TEST(InferConfig, RefusesShapesThatAreNone) {
  const auto refusal_with = [](const std::string& name, Dims dims) {
    std::vector<formats::NamedTensor> tensors = tensors_of(tiny_config());
    // No elements: the claimed axes cost nothing.
    dims.push_back(0);
    Tensor& tensor = tensor_of(tensors, name);
    const std::size_t rank = tensor.dims().size();
    tensor = Tensor(DType::kU8, dims);
    EXPECT_EQ(tensor.dims().size(), rank);
    return refusal(tensors);
  };
  EXPECT_EQ(refusal_with("patch_embed.proj.weight", {1 << 30, 3, 3}).find("[weights] m: squeeze-and-excitation"), 0u);
  EXPECT_EQ(refusal_with("patch_embed.proj.weight", {std::int64_t{1} << 40, 3, 3}),
            "[weights] m: tensor \"patch_embed.proj.weight\": expected 4 axes that tell dim, found "
            "[1099511627776, 3, 3, 0]");
  EXPECT_EQ(refusal_with("head.weight", {2'000'000'000}),
            "[weights] m: the tensors give no GCViT: classes: expected 1 to 1,000,000, found 2000000000");
  std::vector<formats::NamedTensor> tensors = tensors_of(tiny_config());
  tensor_of(tensors, "levels.0.blocks.0.attn.relative_position_bias_table") = Tensor(DType::kU8, {15, 1});
  EXPECT_EQ(refusal(tensors),
            "[weights] m: tensor \"levels.0.blocks.0.attn.relative_position_bias_table\": 15 rows are no (2h-1)^2: "
            "windows that aren't square can't be inferred");
  tensor_of(tensors, "levels.0.blocks.0.attn.relative_position_bias_table") = Tensor(DType::kU8, {16, 1});
  EXPECT_NE(refusal(tensors).find("16 rows are no (2h-1)^2"), std::string::npos);
  tensors = tensors_of(tiny_config());
  tensors.push_back({"levels.0.blocks.1000000000000.x", Tensor(DType::kU8, {1})});
  EXPECT_EQ(refusal(tensors), "[weights] m: tensor \"levels.0.blocks.1000000000000.x\": expected a number below 1000");
  tensors = tensors_of(tiny_config());
  tensors.push_back({"levels.0.q_global_gen.to_q_global.900.x", Tensor(DType::kU8, {1})});
  EXPECT_EQ(refusal(tensors),
            "[weights] m: 901 feature extractions in level1 and windows of 2 give images over 16384 pixels");
}

TEST(InferConfig, ReadsSqueezedWidthsThatTimmRounded) {
  model::GCViTConfig config = tiny_config();
  config.squeeze_divisor = 8;
  const std::vector<formats::NamedTensor> tensors = tensors_of(config);
  EXPECT_EQ(infer_config(tensors, "m").config.squeeze_divisor, 8);
  EXPECT_EQ(config.squeezed_channels(8), 8);
  EXPECT_EQ(config.squeezed_channels(48), 16);
  EXPECT_EQ(config.squeezed_channels(64), 16);
}

TEST(InferConfig, RefusesOtherSqueezedWidths) {
  std::vector<formats::NamedTensor> tensors = tensors_of(tiny_config());
  tensor_of(tensors, "patch_embed.conv_down.conv.2.fc.0.weight") = Tensor(DType::kU8, {3, 8});
  EXPECT_EQ(refusal(tensors),
            "[weights] m: squeeze-and-excitation narrows 8 channels to 3: expected a quarter, as it is or rounded to a "
            "multiple of 8 as timm does");
}

}  // namespace
}  // namespace gcvit::weights
