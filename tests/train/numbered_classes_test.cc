// SPDX-License-Identifier: Apache-2.0
// Classes that are named by whole numbers, beside a model and without one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"
#include "train/prepare.h"

namespace gcvit::train {
namespace {

using Names = std::vector<std::string>;

struct NumberedClasses : ::testing::Test {
  weights::TemporaryFolder folder;
  Names notices;

  /// Two photos in each of these folders, beside the model in `file`.
  Prepared prepared(const std::string& file, const Names& classes, std::int32_t outputs = 0) {
    std::string text;
    for (const std::string& name : classes) {
      for (int i = 0; i < 2; ++i) text += name + "_" + std::to_string(i) + ".jpg," + name + "\n";
    }
    weights::write_text(folder / "list.csv", text);
    Recipe recipe = preset("finetune");
    recipe.val_split = 0.0;
    recipe.num_classes = outputs;
    Start start;
    start.weights = folder / file;
    return prepare(data::open_image_set(folder / "list.csv"), start, recipe,
                   [this](std::string_view sentence) { notices.emplace_back(sentence); });
  }

  static std::vector<std::int32_t> labels(const Prepared& prepared) {
    std::vector<std::int32_t> found;
    for (std::size_t i = 0; i < prepared.set.samples.size(); i += 2) found.push_back(prepared.set.samples[i].label);
    return found;
  }
};

using Labels = std::vector<std::int32_t>;

TEST_F(NumberedClasses, AreNamesOfANewHead) {
  testing::write_tiny_model(folder / "m.safetensors");
  const Prepared run = prepared("m.safetensors", {"10", "9"});
  EXPECT_EQ(run.info.classes, (Names{"9", "10"}));
  EXPECT_EQ(run.info.config.classes, 2);
  EXPECT_EQ(labels(run), (Labels{1, 0}));
}

TEST_F(NumberedClasses, OfImagesThatWouldValidateAreLeftOutAloud) {
  testing::write_tiny_model(folder / "m.safetensors");
  weights::write_text(folder / "sides.csv", "a.jpg,1,train\nb.jpg,2,train\nc.jpg,1,val\nd.jpg,2,val\n");
  Recipe recipe = preset("finetune");
  recipe.val_split = 0.0;
  Start start;
  start.weights = folder / "m.safetensors";
  const Prepared run =
      prepare(data::open_image_set(folder / "sides.csv"), start, recipe, [](std::string_view /*sentence*/) {});
  EXPECT_EQ(run.split.train.size(), 2u);
  EXPECT_TRUE(run.split.validation.empty());
  ASSERT_EQ(run.found.left_out.size(), 1u);
  EXPECT_EQ(data::describe(run.found.left_out[0]), "2 photos that --val-split 0 leaves out, such as c.jpg");
  ASSERT_EQ(run.found.splits.size(), 2u);
  EXPECT_EQ(run.found.splits[1].use, data::SplitUse::kLeftOut);
}

TEST_F(NumberedClasses, AreIndicesOfAHeadThatStays) {
  testing::write_tiny_model(folder / "m.safetensors", testing::colour_names());
  const auto count = static_cast<std::int32_t>(testing::colour_names().size());
  Names all;
  Names shifted;
  for (std::int32_t i = 0; i < count; ++i) all.push_back(std::to_string(i));
  for (std::int32_t i = 0; i < count; ++i) shifted.push_back(std::to_string(i + 1));
  EXPECT_EQ(prepared("m.safetensors", all).info.classes, testing::colour_names());
  EXPECT_NE(weights::error_of([&] { prepared("m.safetensors", shifted); }).find("expected classes numbered from 0 to"),
            std::string::npos);
  Names filled;
  for (const std::string& name : all) filled.push_back("0" + name);
  EXPECT_EQ(prepared("m.safetensors", filled).info.classes, testing::colour_names());
  const Prepared some = prepared("m.safetensors", {"0", "2", "4"}, count);
  EXPECT_EQ(some.info.classes, testing::colour_names());
  EXPECT_EQ(labels(some), (Labels{0, 2, 4}));
  // Any other numbers are names.
  for (std::string& name : shifted) name += "00";
  EXPECT_EQ(prepared("m.safetensors", shifted).info.classes, shifted);
}

TEST_F(NumberedClasses, AreIndicesOfAHeadWithMoreOutputs) {
  testing::write_tiny_model(folder / "m.safetensors");
  const Prepared run = prepared("m.safetensors", {"0", "8"}, 9);
  EXPECT_EQ(run.info.classes, Names{});
  EXPECT_EQ(labels(run), (Labels{0, 8}));
  EXPECT_NE(weights::error_of([&] { prepared("m.safetensors", {"0", "9"}, 9); }).find("expected a number below 9"),
            std::string::npos);
}

}  // namespace
}  // namespace gcvit::train
