// SPDX-License-Identifier: Apache-2.0
#include "train/recipe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/testing/error_of.h"
#include "train/schedule.h"
#include "tests/train/reference.h"

namespace gcvit::train {
namespace {

using testing::error_of;

TEST(Recipe, PresetsAreValidAndDiffer) {
  for (const bool probe : {false, true}) {
    for (const char* name : {"tutorial", "finetune", "scratch"}) {
      const Recipe recipe = preset(name, probe);
      EXPECT_EQ(recipe.recipe, name);
      EXPECT_EQ(recipe.linear_probe, probe);
      EXPECT_NO_THROW(validate(recipe)) << name;
    }
  }
  EXPECT_EQ(error_of([] { (void)preset("quick"); }),
            "[train] --recipe: expected tutorial, finetune or scratch, found \"quick\"");
}

TEST(Recipe, TheTutorialsIsTheKerasExamples) {
  const Recipe recipe = preset("tutorial");
  EXPECT_EQ(recipe.optimizer, "adam");
  EXPECT_EQ(recipe.adam_form, "keras");
  EXPECT_EQ(recipe.lr, 1e-3);
  EXPECT_EQ(recipe.adam_epsilon, 1e-7);
  EXPECT_EQ(recipe.batch_size, 32);
  EXPECT_EQ(recipe.epochs, 5);
  EXPECT_EQ(recipe.augment, "flip");
  EXPECT_EQ(recipe.preprocess, "keras-train");
  EXPECT_EQ(recipe.sched, "constant");
  EXPECT_TRUE(recipe.tutorial_split);
  EXPECT_EQ(recipe.val_split, 0.1);
  for (const double off : {recipe.weight_decay, recipe.clip_grad, recipe.ema_decay, recipe.label_smoothing,
                           recipe.drop_path, recipe.rrc_scale, recipe.mixup, recipe.cutmix, recipe.warmup_epochs}) {
    EXPECT_EQ(off, 0.0);
  }
}

TEST(Recipe, JsonBringsEveryFieldBack) {
  Recipe recipe = preset("scratch");
  int count = 0;
  visit_fields([&](const char*, auto member) {
    ++count;
    using Field = std::remove_reference_t<decltype(recipe.*member)>;
    if constexpr (std::is_floating_point_v<Field>) recipe.*member = recipe.*member * 0.75 + 1e-9;
  });
  recipe.seed = 0xffffffffffffffffu;
  recipe.soft_labels = "teacher of a day.jsonl";
  recipe.no_shuffle = recipe.strict = true;
  EXPECT_EQ(count, 45);
  const nlohmann::json json = nlohmann::json::parse(to_json(recipe).dump());
  EXPECT_EQ(json.size(), 45u);
  EXPECT_EQ(recipe_from_json(json, "config.json"), recipe);
}

TEST(Recipe, JsonOfAnotherTypeIsNamed) {
  const auto with = [](const char* key, const nlohmann::json& value) {
    nlohmann::json json = to_json(preset("finetune"));
    json[key] = value;
    return error_of([&] { (void)recipe_from_json(json, "c.json"); });
  };
  EXPECT_EQ(with("epochs", "5"), "[train] c.json: epochs: expected an integer, found string");
  EXPECT_EQ(with("epochs", 5000000000), "[train] c.json: epochs: 5000000000 is out of range");
  EXPECT_EQ(with("seed", -1), "[train] c.json: seed: -1 is out of range");
  EXPECT_EQ(with("lr", true), "[train] c.json: lr: expected a number, found boolean");
  EXPECT_EQ(with("strict", 1), "[train] c.json: strict: expected true or false, found number");
  nlohmann::json json = to_json(preset("finetune"));
  json.erase("lr");
  EXPECT_EQ(error_of([&] { (void)recipe_from_json(json, "c.json"); }),
            "[train] c.json: expected the key \"lr\", found none");
}

TEST(Recipe, RunsFromBeforeMaxPixelsHaveItsDefault) {
  Recipe recipe = preset("finetune");
  recipe.max_pixels = 1000;
  nlohmann::json json = to_json(recipe);
  EXPECT_EQ(recipe_from_json(json, "c.json").max_pixels, 1000u);
  json.erase("max_pixels");
  EXPECT_EQ(recipe_from_json(json, "c.json").max_pixels, 178'956'970u);
  recipe.max_pixels = 0;
  EXPECT_EQ(error_of([&] { validate(recipe); }), "[train] --max-pixels: expected at least 1, found 0");
}

TEST(Recipe, WhatIsOutOfRangeIsOneSentence) {
  const auto with = [](auto member, auto value) {
    Recipe recipe = preset("finetune");
    recipe.*member = value;
    return error_of([&] { validate(recipe); });
  };
  EXPECT_EQ(with(&Recipe::epochs, 0), "[train] --epochs: expected at least 1, found 0");
  EXPECT_EQ(with(&Recipe::batch_size, 0), "[train] --batch: expected 1 to 65536, found 0");
  EXPECT_EQ(with(&Recipe::lr, -1.0), "[train] --lr: expected at least 0, found -1");
  EXPECT_EQ(with(&Recipe::lr, std::nan("")), "[train] --lr: expected at least 0, found nan");
  EXPECT_EQ(with(&Recipe::label_smoothing, 1.5), "[train] --label-smoothing: expected 0 to 1, found 1.5");
  EXPECT_EQ(with(&Recipe::layer_decay, 0.0), "[train] --layer-decay: expected over 0, up to 1, found 0");
  EXPECT_EQ(with(&Recipe::optimizer, "lion"), "[train] --optimizer: expected adam, adamw, muon or sgd, found \"lion\"");
  EXPECT_EQ(with(&Recipe::dtype, "bf16"), "no error");
  EXPECT_EQ(with(&Recipe::dtype, "f16"), "[train] --dtype: expected f32 or bf16, found \"f16\"");
  EXPECT_EQ(with(&Recipe::min_lr, 1.0), "[train] --min-lr: expected at most --lr 0.0003, found 1");
  EXPECT_NE(with(&Recipe::linear_probe, true).find("--linear-probe: its features are computed once"),
            std::string::npos);
  Recipe recipe = preset("finetune");
  recipe.early_stop = 2;
  recipe.val_split = 0.0;
  EXPECT_EQ(error_of([&] { validate(recipe); }),
            "[train] --early-stop: needs photos to validate on, but --val-split is 0");
}

TEST(Recipe, EveryNumberHasARangeThatItsDefaultsAreIn) {
  EXPECT_EQ(range_of("batch_size"), "1 to 65536");
  EXPECT_EQ(range_of("epochs"), "at least 1");
  EXPECT_EQ(range_of("soft_temperature"), "over 0, up to 1000");
  EXPECT_EQ(words_of("dtype"), (std::vector<std::string>{"f32", "bf16"}));
  EXPECT_EQ(flag_of("batch_size"), "--batch");
  visit_fields([](const char* name, auto member) {
    using Field = std::remove_reference_t<decltype(std::declval<Recipe>().*member)>;
    const bool number = std::is_arithmetic_v<Field> && !std::is_same_v<Field, bool>;
    EXPECT_EQ(range_of(name).empty(), !number || std::string_view(name) == "seed") << name;
  });
  for (const std::string& recipe : words_of("recipe")) EXPECT_NO_THROW(validate(preset(recipe))) << recipe;
}

TEST(Recipe, DifferencesAreFlags) {
  Recipe a = preset("finetune");
  Recipe b = a;
  EXPECT_TRUE(differences(a, b).empty());
  b.batch_size = 3;
  b.no_shuffle = true;
  EXPECT_EQ(differences(a, b), (std::vector<std::string>{"--batch", "--no-shuffle"}));
}

TEST(Schedule, CosineIsPyTorchs) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  Recipe recipe = preset("finetune");
  recipe.epochs = 7;
  recipe.lr = 0.3;
  recipe.min_lr = 0.01;
  recipe.warmup_epochs = 0.0;
  const Schedule schedule(recipe, 1);
  ASSERT_EQ(schedule.steps(), 7);
  for (int step = 0; step < 7; ++step) EXPECT_NEAR(schedule.lr(step), reference["cosine"][step].get<double>(), 1e-15);
}

TEST(Schedule, RisesThenStaysOrFalls) {
  Recipe recipe = preset("finetune");
  recipe.epochs = 3;
  recipe.lr = 0.4;
  recipe.min_lr = 0.0;
  recipe.warmup_epochs = 0.5;
  const Schedule cosine(recipe, 8);
  EXPECT_EQ(cosine.steps(), 24);
  EXPECT_EQ(cosine.warmup_steps(), 4);
  EXPECT_DOUBLE_EQ(cosine.lr(0), 0.1);
  EXPECT_DOUBLE_EQ(cosine.lr(3), 0.4);
  EXPECT_DOUBLE_EQ(cosine.lr(4), 0.4);
  EXPECT_DOUBLE_EQ(cosine.lr(14), 0.2);  // half of the way down
  EXPECT_GT(cosine.lr(23), 0.0);
  recipe.sched = "constant";
  const Schedule constant(recipe, 8);
  EXPECT_DOUBLE_EQ(constant.lr(1), 0.2);
  for (int step = 3; step < 24; ++step) EXPECT_EQ(constant.lr(step), 0.4);
}

TEST(Schedule, EndsAtMaxSteps) {
  Recipe recipe = preset("finetune");
  recipe.epochs = 100;
  recipe.max_steps = 10;
  recipe.min_lr = 0.0;
  recipe.warmup_epochs = 1000.0;
  const Schedule schedule(recipe, 4);
  EXPECT_EQ(schedule.steps(), 10);
  EXPECT_EQ(schedule.warmup_steps(), 10);
  EXPECT_DOUBLE_EQ(schedule.lr(9), recipe.lr);
}

}  // namespace
}  // namespace gcvit::train
