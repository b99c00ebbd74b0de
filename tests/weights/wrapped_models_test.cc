// SPDX-License-Identifier: Apache-2.0
#include "weights/wrapped_models.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/weights/test_files.h"

namespace gcvit::weights {
namespace {

using Names = std::vector<std::string>;

/// A model's tensors under a prefix, as far as they are looked at; `value` is what they hold.
void add(formats::RawFile& raw, const std::string& prefix, float value) {
  for (const char* name : {"patch_embed.proj.weight", "levels.0.q_global_gen.to_q_global.0.conv.0.weight",
                           "levels.3.q_global_gen.to_q_global.0.conv.0.weight", "head.bias",
                           "levels.0.blocks.0.attn.relative_position_index"}) {
    raw.tensors.push_back({prefix + name, Tensor::from_values({1}, std::vector<float>{value})});
  }
}

void add_other(formats::RawFile& raw, const std::string& name) {
  raw.tensors.push_back({name, Tensor(DType::kF32, {1})});
}

formats::RawFile file() { return {.format = "pytorch", .tensors = {}, .metadata = {}}; }

/// Prefixes, each with a * behind when its model is an average.
Names prefixes(const Names& names) {
  const std::vector<std::string_view> views(names.begin(), names.end());
  Names found;
  for (const formats::WrappedModel& model : find_wrapped_models(views)) {
    found.push_back(model.prefix + (model.averaged ? "*" : ""));
  }
  return found;
}

TEST(WrappedModels, AreFoundByTheirQueryGeneratorsAlone) {
  EXPECT_EQ(prefixes({"levels.0.q_global_gen.to_q_global.0.conv.0.weight"}), Names{""});
  EXPECT_EQ(prefixes({"a.b.stages.2.global_block.blocks.conv1.conv_dw.weight", "a.b.stem.conv1.weight"}),
            Names{"a.b."});
  EXPECT_EQ(prefixes({"params/GCViTStage_0/GlobalQuery_0/GCViTFusedMBConv_0/Conv_0/Conv_0/kernel"}), Names{"params/"});
  EXPECT_EQ(prefixes({"net/levels/0/q_global_gen/to_q_global/0/conv/0/kernel"}), Names{"net/"});
  // Other networks have blocks, stems and stages too.
  EXPECT_EQ(prefixes({"patch_embed.proj.weight", "stages.0.blocks.0.norm1.weight", "levels.0.blocks.0.norm1.weight",
                      "xlevels.0.q_global_gen.a", "levels.q_global_gen.a", "levels.0.q_global_genx.a",
                      "levels.0.q_global_gen", "q_global_gen.a", ".0.q_global_gen.a",
                      "levels_0.q_global_gen.to_q_global.0.weight"}),
            Names{});
  // Keras' names mean something only beside each other.
  EXPECT_EQ(prefixes({"levels_0/gc_vi_t/levels/0/q_global_gen/to_q_global/0/conv/0/depthwise_kernel:0"}), Names{});
}

TEST(WrappedModels, AveragesAreToldByAWordOrACount) {
  const std::string tensor = "levels.0.q_global_gen.to_q_global.0.conv.0.weight";
  for (const char* prefix :
       {"ema.", "model_ema.module.", "EMA.net.", "swa_model.", "averaged-model.", "module.ema_1."}) {
    EXPECT_EQ(prefixes({prefix + tensor}), Names{prefix + std::string("*")});
  }
  for (const char* prefix : {"schema.", "avgpool.", "emanuel.", "model."}) {
    EXPECT_EQ(prefixes({prefix + tensor}), Names{prefix});
  }
  EXPECT_EQ(prefixes({"module." + tensor, "n_averaged"}), Names{"module.*"});
  EXPECT_EQ(prefixes({"_orig_mod.module.model." + tensor, "_orig_mod.n_averaged"}), Names{"_orig_mod.module.model.*"});
  EXPECT_EQ(prefixes({"module." + tensor, "average.module." + tensor, "average.n_averaged"}),
            (Names{"average.module.*", "module."}));
}

TEST(WrappedModels, WhatAnOptimizerKeepsIsNoModel) {
  const std::string tensor = "params/GCViTStage_0/GlobalQuery_0/GCViTFusedMBConv_0/Conv_0/Conv_0/kernel";
  EXPECT_EQ(prefixes({tensor, "opt_state/0/mu/" + tensor, "opt_state/0/nu/" + tensor, "opt_state/0/count"}),
            Names{"params/"});
}

TEST(Unwrap, LeavesOneModelAndNamesTheRest) {
  formats::RawFile raw = file();
  add(raw, "model.", 1);
  add_other(raw, "criterion.weight");
  add_other(raw, "model.extra");
  add_other(raw, "levels.0.blocks.0.attn.relative_position_index");
  EXPECT_EQ(unwrap(raw, {}, "f"), Names{"criterion.weight"});
  EXPECT_FALSE(raw.averaged);
  EXPECT_EQ(raw.tensors.front().name, "patch_embed.proj.weight");
  EXPECT_EQ(raw.tensors.back().name, "extra");  // the model's to refuse or to leave alone
  EXPECT_EQ(raw.notes, Names{"the model's tensors are those under \"model.\""});
}

TEST(Unwrap, TakesTheKindThatIsWantedAndTheRawOneElse) {
  for (const std::string averaged : {"ema.", "model_ema.module.", "model.ema."}) {
    formats::RawFile both = file();
    add(both, averaged, 2);
    add(both, averaged.starts_with("model.") ? "model.net." : "model.", 1);
    for (const std::optional<bool> wanted : {std::optional<bool>(), {false}, {true}}) {
      formats::RawFile raw = both;
      EXPECT_EQ(unwrap(raw, wanted, "f"), Names{});
      EXPECT_EQ(raw.averaged, wanted.value_or(false));
      EXPECT_EQ(raw.tensors.size(), 5u);
      EXPECT_EQ(raw.tensors.front().tensor.values()[0], wanted.value_or(false) ? 2.0f : 1.0f);
      ASSERT_EQ(raw.others.size(), 1u);
      EXPECT_NE(raw.others[0].averaged, raw.averaged);
    }
  }
  // A model that is within another's prefix.
  formats::RawFile nested = file();
  add(nested, "", 1);
  add(nested, "ema.", 2);
  add_other(nested, "n_averaged");
  EXPECT_EQ(unwrap(nested, {}, "f"), Names{});
  EXPECT_EQ(nested.tensors.size(), 6u);  // the count goes with the names without a prefix
  EXPECT_EQ(nested.tensors.front().tensor.values()[0], 1.0f);
}

TEST(Unwrap, RefusesToGuessBetweenModelsOfAKind) {
  formats::RawFile raw = file();
  add(raw, "student.", 1);
  add(raw, "teacher.", 2);
  EXPECT_EQ(
      error_of([&] { unwrap(raw, {}, "f"); }),
      "[weights] f: expected one model, found 2 with raw weights: \"student.\", \"teacher.\"; save the one that is "
      "meant by itself");
  add(raw, "ema.", 3);
  formats::RawFile with_average = raw;
  unwrap(with_average, true, "f");
  EXPECT_EQ(with_average.tensors.front().tensor.values()[0], 3.0f);
  add(raw, "swa.", 4);
  EXPECT_NE(error_of([&] { unwrap(raw, true, "f"); }).find("2 with averaged (EMA) weights: \"ema.\", \"swa.\""),
            std::string::npos);
}

TEST(Unwrap, TwoNamesOfOneModelAreOne) {
  formats::RawFile raw = file();
  add(raw, "backbone.", 1);
  add(raw, "model.backbone.", 1);
  EXPECT_EQ(unwrap(raw, {}, "f"), Names{});
  EXPECT_EQ(raw.tensors.size(), 5u);
}

TEST(Unwrap, ManyPrefixesTakeNoLongerThanTheirNames) {
  formats::RawFile raw = file();
  for (int i = 0; i < 60000; ++i) {
    const std::string name = "p" + std::to_string(i) + ".levels.0.q_global_gen.a";
    raw.tensors.push_back({name, Tensor::from_values({1}, std::vector<float>{static_cast<float>(i)})});
  }
  EXPECT_NE(error_of([&] { unwrap(raw, {}, "f"); }).find("expected one model, found 64"), std::string::npos);
  formats::RawFile long_names = file();
  add(long_names, std::string(1'000'000, 'x') + ".", 1);
  unwrap(long_names, {}, "f");  // such a prefix isn't looked for
  EXPECT_EQ(long_names.tensors.size(), 5u);
}

}  // namespace
}  // namespace gcvit::weights
