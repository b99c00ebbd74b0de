// SPDX-License-Identifier: Apache-2.0
#include "weights/names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/gcvit.h"
#include "tests/weights/test_files.h"
#include "formats/safetensors.h"

namespace gcvit::weights {
namespace {

std::vector<formats::NamedTensor> named(std::initializer_list<std::string> names) {
  std::vector<formats::NamedTensor> tensors;
  for (const std::string& name : names) tensors.push_back({name, Tensor(DType::kF32, {1})});
  return tensors;
}

TEST(Names, TimmDownsamplesBelongToTheLevelBefore) {
  EXPECT_EQ(canonical_name(Layout::kTimm, "stages.1.downsample.norm1.weight"), "levels.0.downsample.norm1.weight");
  EXPECT_EQ(canonical_name(Layout::kTimm, "stages.3.downsample.conv_block.conv_dw.weight"),
            "levels.2.downsample.conv.0.weight");
  EXPECT_EQ(canonical_name(Layout::kTimm, "stages.0.downsample.norm1.weight"), std::nullopt);
}

TEST(Names, TimmCountsExtractionsFromOne) {
  EXPECT_EQ(canonical_name(Layout::kTimm, "stages.2.global_block.blocks.conv1.se.fc2.weight"),
            "levels.2.q_global_gen.to_q_global.0.conv.2.fc.2.weight");
  EXPECT_EQ(canonical_name(Layout::kTimm, "stages.2.global_block.blocks.conv0.se.fc2.weight"), std::nullopt);
}

TEST(Names, TimmNamesThatAreNoneAreNotMapped) {
  for (const std::string name : {"stages.0.blocks.0.gamma1", "stages.0.blocks.0.attn.relative_position_bias_table",
                                 "stages.00.blocks.0.norm1.weight", "stages.2.norm.weight", "head.weight",
                                 "stages.0.blocks.9999999.norm1.weight", "levels.0.blocks.0.norm1.weight", ""}) {
    EXPECT_EQ(canonical_name(Layout::kTimm, name), std::nullopt) << name;
  }
}

TEST(Names, JaxLocalAndGlobalBlocksNameTheirProductsDifferently) {
  const std::string block = "GCViTStage_1.GCViTBlock_";
  const std::string local = ".WindowMHSA_0.QKV_0.Dense_0.kernel";
  const std::string global = ".WindowMHSA_0.Dense_0.kernel";
  EXPECT_EQ(canonical_name(Layout::kJax, block + "2" + local), "levels.1.blocks.2.attn.qkv.weight");
  EXPECT_EQ(canonical_name(Layout::kJax, block + "3" + global), "levels.1.blocks.3.attn.qkv.weight");
  EXPECT_EQ(canonical_name(Layout::kJax, block + "2" + global), std::nullopt);
  EXPECT_EQ(canonical_name(Layout::kJax, block + "3" + local), std::nullopt);
}

TEST(Names, JaxPathsMayHaveSlashesAndTheirCollection) {
  for (const std::string name :
       {"params/GCViTStage_1/GCViTDownsample_0/LayerNorm_1/scale", "GCViTStage_1.GCViTDownsample_0.LayerNorm_1.scale",
        "params/levels/0/downsample/norm2/scale", "levels.0.downsample.norm2.scale"}) {
    EXPECT_EQ(canonical_name(Layout::kJax, name), "levels.0.downsample.norm2.weight") << name;
  }
  EXPECT_EQ(canonical_name(Layout::kJax, "params/head/kernel"), "head.weight");
  EXPECT_EQ(canonical_name(Layout::kJax, "levels/3/blocks/0/attn/relative_position_bias_table"),
            "levels.3.blocks.0.attn.relative_position_bias_table");
  EXPECT_EQ(canonical_name(Layout::kJax, "batch_stats/mean"), std::nullopt);
}

TEST(Names, JaxKernelsGetOurAxes) {
  std::vector<formats::NamedTensor> tensors;
  tensors.push_back({"params/head/kernel", Tensor::from_values({2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5})});
  tensors.push_back({"params/patch_embed/proj/kernel", Tensor(DType::kF32, {3, 3, 5, 7})});
  tensors.push_back({"params/levels/0/downsample/conv/0/kernel", Tensor(DType::kF32, {3, 3, 1, 7})});
  tensors.push_back({"rel_pos_ind/GCViTStage_0/rel_pos_ind", Tensor(DType::kI32, {4, 4})});
  ASSERT_EQ(detect_layout(tensors), Layout::kJax);
  const Canonical canonical = to_canonical(Layout::kJax, tensors);
  ASSERT_EQ(canonical.tensors.size(), 3u);
  EXPECT_TRUE(canonical.unexpected.empty());
  EXPECT_TRUE(std::ranges::equal(canonical.tensors[0].tensor.values(), std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(canonical.tensors[1].tensor.dims(), (Dims{7, 5, 3, 3}));
  EXPECT_EQ(canonical.tensors[2].tensor.dims(), (Dims{7, 1, 3, 3}));
}

TEST(Names, EveryParameterHasOneNameInEachLayoutAndComesBack) {
  model::GCViTConfig config;
  config.layer_scale = true;
  const model::GCViT model(config);
  for (const Layout layout : {Layout::kNvlabs, Layout::kTimm, Layout::kJax}) {
    std::set<std::string> names;
    for (const model::Parameter* parameter : model.parameters()) {
      const std::string name = layout_name(layout, parameter->name);
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_EQ(canonical_name(layout, name), parameter->name);
      if (layout == Layout::kNvlabs) {
        EXPECT_EQ(name, parameter->name);
      }
    }
  }
}

/// Against a state_dict that timm wrote: the same names and shapes, from ours.
TEST(Names, GiveExactlyTimmsStateDict) {
  const formats::RawFile raw = formats::read_safetensors(reference("timm.safetensors"));
  std::map<std::string, Dims> theirs;
  for (const formats::NamedTensor& entry : raw.tensors) theirs[entry.name] = entry.tensor.dims();

  model::GCViTConfig config;
  config.dim = 32;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 8};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 1.0;
  config.layer_scale = true;
  config.classes = 3;
  config.image_height = config.image_width = 64;
  const model::GCViT model(config);
  std::map<std::string, Dims> ours;
  for (const model::Parameter* parameter : model.parameters()) {
    const formats::NamedTensor entry = to_layout(Layout::kTimm, {parameter->name, Tensor(DType::kU8, parameter->dims)});
    ours[entry.name] = entry.tensor.dims();
  }
  EXPECT_EQ(ours, theirs);
}

TEST(Names, ShapesComeBackToo) {
  const formats::NamedTensor matrix{"patch_embed.conv_down.conv.2.fc.0.weight", Tensor(DType::kF32, {4, 16})};
  const formats::NamedTensor convolution = to_layout(Layout::kTimm, matrix);
  EXPECT_EQ(convolution.name, "stem.down.conv_block.se.fc1.weight");
  EXPECT_EQ(convolution.tensor.dims(), (Dims{4, 16, 1, 1}));
  const Canonical back = to_canonical(Layout::kTimm, {convolution});
  ASSERT_EQ(back.tensors.size(), 1u);
  EXPECT_EQ(back.tensors[0].name, matrix.name);
  EXPECT_EQ(back.tensors[0].tensor.dims(), matrix.tensor.dims());
}

TEST(Names, UnknownOnesAreReportedAndBuffersLeftOut) {
  const Canonical canonical = to_canonical(
      Layout::kTimm, named({"stem.conv1.bias", "stages.0.blocks.0.attn.rel_pos.relative_position_index", "extra"}));
  ASSERT_EQ(canonical.tensors.size(), 1u);
  EXPECT_EQ(canonical.tensors[0].name, "patch_embed.proj.bias");
  EXPECT_EQ(canonical.unexpected, std::vector<std::string>{"extra"});
}

TEST(Names, LayoutsAreToldApart) {
  EXPECT_EQ(detect_layout(named({"stem.conv1.weight", "head.fc.bias"})), Layout::kTimm);
  EXPECT_EQ(detect_layout(named({"levels.0.blocks.0.norm1.weight", "head.bias"})), Layout::kNvlabs);
  EXPECT_EQ(detect_layout(named({"conv1.weight", "layer1.0.conv1.weight"})), std::nullopt);
  EXPECT_EQ(detect_layout({}), std::nullopt);
}

TEST(Names, WrappersAreStrippedWhenAllWearThem) {
  std::vector<formats::NamedTensor> wrapped = named({"module._orig_mod.norm.weight", "module._orig_mod.norm.bias"});
  strip_wrapper_prefixes(wrapped);
  EXPECT_EQ(wrapped[0].name, "norm.weight");
  EXPECT_EQ(wrapped[1].name, "norm.bias");
  std::vector<formats::NamedTensor> mixed = named({"model.norm.weight", "norm.bias"});
  strip_wrapper_prefixes(mixed);
  EXPECT_EQ(mixed[0].name, "model.norm.weight");
}

TEST(Names, WrappersAreStrippedInOneGo) {
  std::string wrapped;
  for (int i = 0; i < 200'000; ++i) wrapped += "module.";  // cut off one by one they take minutes
  std::vector<formats::NamedTensor> tensors = {{wrapped + "a", Tensor(DType::kF32, {1})},
                                               {wrapped + "model.b", Tensor(DType::kF32, {1})}};
  strip_wrapper_prefixes(tensors);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[1].name, "model.b");
}

}  // namespace
}  // namespace gcvit::weights
