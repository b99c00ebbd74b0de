// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/weights/test_files.h"
#include "weights/names.h"

namespace gcvit::weights {
namespace {

/// Canonical names and what stood under which; each tensor is told by its one value.
std::map<std::string, std::string> names_of(const std::vector<std::pair<std::string, Dims>>& entries) {
  std::vector<formats::NamedTensor> tensors;
  for (const auto& [name, dims] : entries) {
    Tensor tensor(DType::kF32, dims);
    for (float& value : tensor.mutable_values()) value = static_cast<float>(tensors.size());
    tensors.push_back({name, std::move(tensor)});
  }
  std::map<std::string, std::string> names;
  const Canonical canonical = keras_to_canonical(tensors);
  for (const formats::NamedTensor& tensor : canonical.tensors) {
    names[tensor.name] = entries[static_cast<std::size_t>(tensor.tensor.values()[0])].first;
  }
  for (const std::string& name : canonical.unexpected) names["unexpected " + name] = name;
  return names;
}

using Names = std::map<std::string, std::string>;

TEST(KerasNames, ArePathsOfTheExample) {
  EXPECT_EQ(keras_path("patch_embed.proj.bias"), "layers/patch_embed/proj/vars/1");
  EXPECT_EQ(keras_path("patch_embed.conv_down.conv.0.weight"),
            "layers/patch_embed/conv_down/conv/depthwise_conv2d/vars/0");
  EXPECT_EQ(keras_path("levels.0.blocks.0.gamma1"), "layers/level/blocks/block/vars/0");
  EXPECT_EQ(keras_path("levels.3.blocks.18.gamma2"), "layers/level_3/blocks/block_18/vars/1");
  EXPECT_EQ(keras_path("levels.2.blocks.1.attn.relative_position_bias_table"),
            "layers/level_2/blocks/block_1/attn/vars/0");
  EXPECT_EQ(
      keras_path("levels.1.q_global_gen.to_q_global.1.conv.2.fc.2.weight"),
      "layers/level_1/q_global_gen/to_q_global/feature_extraction_1/conv/squeeze_and_excitation/fc/dense_1/vars/0");
  EXPECT_EQ(keras_path("levels.0.downsample.conv.3.weight"), "layers/level/down/conv/conv2d/vars/0");
  EXPECT_EQ(keras_path("norm.weight"), "layers/layer_normalization/vars/0");
  EXPECT_EQ(keras_path("head.bias"), "head/vars/1");
  EXPECT_EQ(keras_path("levels.1.blocks.0.mlp.fc1.weight", KerasFlavour::kGcvitTf),
            "layers/gc_vi_t_level_1/blocks/gc_vi_t_block/mlp/fc1/vars/0");
  EXPECT_EQ(keras_path("levels.1.q_global_gen.to_q_global.0.conv.2.fc.0.weight", KerasFlavour::kGcvitTf),
            "layers/gc_vi_t_level_1/q_global_gen/to_q_global/feat_extract/conv/se/fc/dense/vars/0");
}

TEST(KerasNames, AreFoundByRoleAndPosition) {
  // No class is called as anyone's; tenth members follow ninth ones; the levels stand in a list of their own.
  const Names names = names_of({{"levels/stage_10/blocks/any_2/attn/vars/0", {9, 2}},
                                {"levels/stage_9/blocks/any/attn/vars/0", {9, 2}},
                                {"levels/stage_9/blocks/any_10/vars/1", {4}},
                                {"levels/stage_9/blocks/any_9/vars/0", {4}},
                                {"levels/stage_9/down/conv/c/vars/0", {1, 1, 4, 4}},
                                {"levels/stage_9/down/conv/b/vars/0", {3, 3, 4, 1}},
                                {"levels/stage_9/down/conv/a/fc/x_7/vars/0", {1, 4}},
                                {"levels/stage_9/down/conv/a/fc/x_6/vars/0", {4, 1}},
                                {"whatever/vars/0", {8, 3}},
                                {"whatever/vars/1", {3}},
                                {"final/vars/0", {8}},
                                {"final/vars/1", {8}},
                                {"optimizer/vars/1", {8}},
                                {"layers/dropout/seed_generator/vars/0", {2}},
                                {"levels/stage_9/surprise/vars/0", {2}}});
  EXPECT_EQ(names,
            (Names{{"levels.1.blocks.0.attn.relative_position_bias_table", "levels/stage_10/blocks/any_2/attn/vars/0"},
                   {"levels.0.blocks.0.attn.relative_position_bias_table", "levels/stage_9/blocks/any/attn/vars/0"},
                   {"levels.0.blocks.2.gamma2", "levels/stage_9/blocks/any_10/vars/1"},
                   {"levels.0.blocks.1.gamma1", "levels/stage_9/blocks/any_9/vars/0"},
                   {"levels.0.downsample.conv.3.weight", "levels/stage_9/down/conv/c/vars/0"},
                   {"levels.0.downsample.conv.0.weight", "levels/stage_9/down/conv/b/vars/0"},
                   {"levels.0.downsample.conv.2.fc.2.weight", "levels/stage_9/down/conv/a/fc/x_7/vars/0"},
                   {"levels.0.downsample.conv.2.fc.0.weight", "levels/stage_9/down/conv/a/fc/x_6/vars/0"},
                   {"head.weight", "whatever/vars/0"},
                   {"head.bias", "whatever/vars/1"},
                   {"norm.weight", "final/vars/0"},
                   {"norm.bias", "final/vars/1"},
                   {"unexpected levels/stage_9/surprise/vars/0", "levels/stage_9/surprise/vars/0"}}));
}

TEST(KerasNames, TheModelMayLieWithinAnother) {
  EXPECT_EQ(names_of({{"layers/gc_vit/head/vars/1", {3}},
                      {"layers/gc_vit/head/vars/0", {8, 3}},
                      {"layers/gc_vit/_layer_checkpoint_dependencies/level/blocks/block/mlp/fc1/vars/1", {4}}}),
            (Names{{"head.bias", "layers/gc_vit/head/vars/1"},
                   {"head.weight", "layers/gc_vit/head/vars/0"},
                   {"levels.0.blocks.0.mlp.fc1.bias",
                    "layers/gc_vit/_layer_checkpoint_dependencies/level/blocks/block/mlp/fc1/vars/1"}}));
}

TEST(KerasNames, OfTfKerasWithUnderscoresAndSlashes) {
  const Names names = names_of({{"levels_3/gc_vi_t/levels_3/blocks_12/attn/qkv/kernel:0", {4, 12}},
                                {"levels/0/gc_vi_t_1/levels/0/q_global_gen/to_q_global/2/conv/2/fc/0/kernel:0", {4, 1}},
                                {"patch_embed/gc_vi_t/patch_embed/conv_down/conv_0/depthwise_kernel:0", {3, 3, 4, 1}},
                                {"patch_embed/gc_vi_t/patch_embed/conv_down/norm1/gamma:0", {4}},
                                {"levels_3/gc_vi_t/levels_3/blocks_12/gamma1:0", {4}},
                                {"model_weights/norm/gc_vi_t/norm/beta:0", {8}},
                                {"model_weights/head/gc_vi_t/head/kernel:0", {8, 3}},
                                {"optimizer_weights/Adam/m/gc_vi_t/head/kernel:0", {8, 3}},
                                {"top/other/kernel:0", {8, 3}}});
  EXPECT_EQ(names,
            (Names{{"levels.3.blocks.12.attn.qkv.weight", "levels_3/gc_vi_t/levels_3/blocks_12/attn/qkv/kernel:0"},
                   {"levels.0.q_global_gen.to_q_global.2.conv.2.fc.0.weight",
                    "levels/0/gc_vi_t_1/levels/0/q_global_gen/to_q_global/2/conv/2/fc/0/kernel:0"},
                   {"patch_embed.conv_down.conv.0.weight",
                    "patch_embed/gc_vi_t/patch_embed/conv_down/conv_0/depthwise_kernel:0"},
                   {"patch_embed.conv_down.norm1.weight", "patch_embed/gc_vi_t/patch_embed/conv_down/norm1/gamma:0"},
                   {"levels.3.blocks.12.gamma1", "levels_3/gc_vi_t/levels_3/blocks_12/gamma1:0"},
                   {"norm.bias", "model_weights/norm/gc_vi_t/norm/beta:0"},
                   {"head.weight", "model_weights/head/gc_vi_t/head/kernel:0"},
                   {"unexpected top/other/kernel:0", "top/other/kernel:0"}}));
}

TEST(KerasNames, TwoModelsAreRefusedByTheirGroups) {
  const Tensor value(DType::kF32, {1});
  EXPECT_EQ(
      error_of([&] {
        keras_to_canonical(
            {{"model_weights/a/a/patch_embed/proj/bias", value}, {"model_weights/b/b/patch_embed/proj/bias", value}});
      }),
      "[names] expected one model, found several: \"model_weights/a/\", \"model_weights/b/\"; save the one that is "
      "meant by itself");
  EXPECT_EQ(keras_to_canonical({{"a/a/patch_embed/proj/bias:0", value}}).place, "a/");
  EXPECT_EQ(keras_to_canonical({{"patch_embed/a/patch_embed/proj/bias:0", value}}).place, "");
}

TEST(KerasNames, DepthIsBounded) {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += "a/";
  EXPECT_FALSE(is_keras_name(deep + "vars/0"));
  EXPECT_TRUE(is_keras_name("a/vars/0"));
  EXPECT_TRUE(is_keras_name("a/kernel:0"));
  EXPECT_FALSE(is_keras_name("a.kernel:0"));
  EXPECT_FALSE(is_keras_name("a/vars/x"));
  EXPECT_EQ(keras_to_canonical({{deep + "vars/0", Tensor(DType::kF32, {1})}}).unexpected.size(), 1u);
}

TEST(KerasNames, KernelsAreFlipped) {
  const Tensor matrix = Tensor::from_values({2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5});
  const formats::NamedTensor dense = to_keras({"head.weight", matrix});
  EXPECT_EQ(dense.tensor.dims(), (Dims{3, 2}));
  EXPECT_TRUE(std::ranges::equal(dense.tensor.values(), std::vector<float>{0, 3, 1, 4, 2, 5}));
  // [out, in, h, w] = [2, 2, 1, 3]: element [o][i][0][x] is Keras' [0][x][i][o].
  const Tensor kernel = Tensor::from_values({2, 2, 1, 3}, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const formats::NamedTensor keras = to_keras({"patch_embed.proj.weight", kernel});
  EXPECT_EQ(keras.tensor.dims(), (Dims{1, 3, 2, 2}));
  EXPECT_TRUE(std::ranges::equal(keras.tensor.values(), std::vector<float>{0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11}));
  // Depthwise [channels, 1, h, w] = [2, 1, 1, 2] is Keras' [h, w, channels, 1].
  const Tensor depthwise = Tensor::from_values({2, 1, 1, 2}, std::vector<float>{0, 1, 2, 3});
  const formats::NamedTensor turned = to_keras({"patch_embed.conv_down.conv.0.weight", depthwise});
  EXPECT_EQ(turned.tensor.dims(), (Dims{1, 2, 2, 1}));
  EXPECT_TRUE(std::ranges::equal(turned.tensor.values(), std::vector<float>{0, 2, 1, 3}));
}

TEST(KerasNames, ManyDeepNamesAreRefused) {
  std::vector<formats::NamedTensor> tensors;
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "a/";
  for (int i = 0; i < 700; ++i)
    tensors.push_back({std::to_string(i) + "/" + deep + "vars/0", Tensor(DType::kF32, {1})});
  EXPECT_TRUE(error_of([&] { keras_to_canonical(tensors); }).ends_with("expected at most 65536 layers, found more"));
  tensors.resize(600);
  EXPECT_EQ(keras_to_canonical(tensors).unexpected.size(), 600u);
}

}  // namespace
}  // namespace gcvit::weights
