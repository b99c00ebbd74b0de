// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "model/gcvit.h"

namespace gcvit::model {
namespace {

using Column = std::string_view TensorRow::*;

GCViTConfig with_layer_scale() {
  GCViTConfig config;
  config.layer_scale = true;
  return config;
}

TEST(TensorTable, HasEachParameterOnceInItsPlaceAndInEveryLayout) {
  for (const GCViTConfig& config :
       {variant_config("gcvit_xxtiny"), variant_config("gcvit_small"), with_layer_scale()}) {
    const GCViT model(config);
    std::set<std::string> names[3];
    for (const Parameter* parameter : model.parameters()) {
      const auto place = find_tensor(parameter->name);
      ASSERT_TRUE(place) << parameter->name;
      EXPECT_EQ(tensor_name(*place), parameter->name);
      EXPECT_EQ(place->row->role, parameter->role) << parameter->name;
      std::size_t at = 0;
      for (const Column column : {&TensorRow::name, &TensorRow::timm, &TensorRow::flaim}) {
        const std::string name = tensor_name(*place, column);
        EXPECT_TRUE(names[at++].insert(name).second) << name;
        const auto back = find_tensor(name, column);
        ASSERT_TRUE(back) << name;
        EXPECT_EQ(tensor_name(*back), parameter->name);
      }
    }
  }
}

TEST(TensorTable, HasNoRowWithoutAParameter) {
  const GCViT model(with_layer_scale());
  std::set<const TensorRow*> used;
  for (const Parameter* parameter : model.parameters()) used.insert(find_tensor(parameter->name)->row);
  EXPECT_EQ(used.size(), tensor_rows().size());
}

TEST(TensorTable, PlacesAreReadOffNames) {
  const auto block = find_tensor("levels.2.blocks.18.attn.qkv.weight");
  ASSERT_TRUE(block);
  EXPECT_EQ(block->row->part, Part::kBlock);
  EXPECT_EQ(block->row->role, ops::Role::kLinear);
  EXPECT_EQ(std::pair(block->level, block->index), std::pair(2, 18));
  EXPECT_EQ(tensor_name(*block, &TensorRow::flaim), "GCViTStage_2.GCViTBlock_18.WindowMHSA_0.QKV_0.Dense_0.kernel");
  EXPECT_EQ(tensor_name(*find_tensor("levels.2.blocks.1.attn.qkv.weight"), &TensorRow::flaim),
            "GCViTStage_2.GCViTBlock_1.WindowMHSA_0.Dense_0.kernel");
  const auto downsample = find_tensor("stages.3.downsample.norm2.bias", &TensorRow::timm);
  ASSERT_TRUE(downsample);
  EXPECT_EQ(tensor_name(*downsample), "levels.2.downsample.norm2.bias");
  EXPECT_TRUE(is_in(Part::kHead, "head.bias"));
  EXPECT_FALSE(is_in(Part::kHead, "head.fc.bias"));
  for (const char* name : {"", "norm", "norm.weight.x", "levels.01.downsample.norm2.bias", "levels.a.blocks.0.gamma1",
                           "levels.0.blocks.1234567.gamma1", "levels..blocks.0.gamma1", "patch_embed.proj.Weight"}) {
    EXPECT_FALSE(find_tensor(name)) << name;
  }
}

TEST(TensorTable, LayersHaveNamesForPeople) {
  EXPECT_EQ(readable_layer("levels.0.blocks.1.attn.qkv.weight"), "level1/block1/attention/qkv");
  EXPECT_EQ(readable_layer("levels.0.blocks.1.gamma2"), "level1/block1");
  EXPECT_EQ(readable_layer("levels.3.blocks.0.attn.relative_position_bias_table"), "level4/block0/attention");
  EXPECT_EQ(readable_layer("levels.1.q_global_gen.to_q_global.1.conv.2.fc.0.weight"),
            "level2/global_query/1/conv/squeeze");
  EXPECT_EQ(readable_layer("patch_embed.conv_down.conv.3.weight"), "patch_embed/conv_down/conv/pointwise");
  EXPECT_EQ(readable_layer("levels.2.downsample.reduction.weight"), "level3/downsample/reduction");
  EXPECT_EQ(readable_layer("head.weight"), "head");
  EXPECT_EQ(readable_layer("another.layer.weight"), "another/layer");
}

/// The texts between quotes of a source file, without those in comments and includes.
std::string texts_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string texts;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#include")) continue;
    bool inside = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (!inside && line.compare(i, 2, "//") == 0) break;
      if (line[i] == '"' && (i == 0 || (line[i - 1] != '\\' && line[i - 1] != '\''))) {
        inside = !inside;
        texts += '\n';
      } else if (inside) {
        texts += line[i];
      }
    }
  }
  return texts;
}

TEST(TensorTable, NoOtherFileSpellsATensorsName) {
  // Words that stand next to each other in names, as "attn.qkv" or "GCViTStage_", and names' first words.
  std::set<std::string> fragments;
  for (const TensorRow& row : tensor_rows()) {
    for (const Column column : {&TensorRow::name, &TensorRow::timm, &TensorRow::flaim}) {
      std::stringstream words{std::string(row.*column)};
      std::string before;
      for (std::string word; std::getline(words, word, '.'); before = word) {
        const bool number = word.find_first_not_of("#+0123456789") == word.npos;
        if (before.empty())
          fragments.insert(word.substr(0, word.find_first_of("#+")) + (word.find('#') == word.npos ? "." : ""));
        if (!before.empty() && !number) fragments.insert(before.substr(before.find_last_of("#+") + 1) + "." + word);
      }
    }
  }
  fragments.insert("relative_position_bias_table");
  for (const char* known :
       {"patch_embed.", "levels.", "stages.", "GCViTStage_", "attn.qkv", "mlp.fc1", "head.weight"}) {
    EXPECT_TRUE(
        fragments.contains(known) ||
        std::ranges::any_of(fragments, [&](const std::string& fragment) { return fragment.starts_with(known); }))
        << known;
  }
  // Too short to mean a tensor: ".weight" behind a number.
  std::erase_if(fragments, [](const std::string& fragment) { return fragment.starts_with('.'); });
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(GCVIT_SOURCE_DIR "/src")) {
    const std::filesystem::path& path = entry.path();
    if ((path.extension() != ".cc" && path.extension() != ".h") || path.stem() == "tensor_table") continue;
    ++files;
    const std::string texts = texts_of(path);
    for (const std::string& fragment : fragments) {
      const std::size_t place = texts.find(fragment);
      const bool whole =
          place != texts.npos && (place == 0 || !std::isalnum(static_cast<unsigned char>(texts[place - 1])));
      EXPECT_FALSE(whole) << path << ": \"" << fragment << '"';
    }
  }
  EXPECT_GT(files, 300u);
}

}  // namespace
}  // namespace gcvit::model
