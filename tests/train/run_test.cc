// SPDX-License-Identifier: Apache-2.0
#include "train/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/data/tar_bytes.h"
#include "tests/report/markup.h"
#include "tests/train/runs.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

namespace gcvit::train {
namespace {

TEST_F(Runs, TheSameBitsOnAnyNumberOfThreads) {
  const Left one = run(busy(), 1);
  ASSERT_EQ(one.rows.size(), 2u);
  EXPECT_EQ(run(busy(), 2), one);
  EXPECT_EQ(run(busy(), 7), one);
  Recipe other = busy();
  other.seed = 8;
  EXPECT_NE(run(other).last, one.last);
}

TEST_F(Runs, Bf16TrainsTheSameBitsOnAnyNumberOfThreads) {
  Recipe recipe = busy();
  const Left f32 = run(recipe);
  recipe.dtype = "bf16";
  const Left one = run(recipe, 1);
  EXPECT_EQ(run(recipe, 2), one);
  EXPECT_NE(one.last, f32.last);
  ASSERT_EQ(one.rows.size(), f32.rows.size());
  EXPECT_NEAR(one.rows.back().loss, f32.rows.back().loss, 0.02 * f32.rows.back().loss);
}

TEST_F(Runs, GradientsOfBatchesAddUp) {
  Recipe recipe = busy();
  recipe.mixup = recipe.cutmix = 0.0;  // which mix within a batch
  recipe.batch_size = 16;
  const Left one = run(recipe);
  recipe.batch_size = 8;
  recipe.grad_accum = 2;
  const Left two = run(recipe);
  // The same photos in other slices: the sums' order differs, the sums don't.
  ASSERT_EQ(two.rows.size(), one.rows.size());
  for (std::size_t i = 0; i < one.rows.size(); ++i) EXPECT_NEAR(two.rows[i].loss, one.rows[i].loss, 1e-4);
}

TEST_F(Runs, TheLossFalls) {
  Recipe recipe = preset("tutorial");
  recipe.batch_size = 8;
  recipe.epochs = 30;
  recipe.lr = 3e-3;
  recipe.augment = "none";
  recipe.preprocess = "keras";
  recipe.val_split = 0.0;
  const Left left = run(recipe);
  ASSERT_EQ(left.rows.size(), 30u);
  EXPECT_LT(left.rows.back().loss, 0.5 * left.rows.front().loss);
  EXPECT_GT(left.rows.back().accuracy, 0.8);
  EXPECT_FALSE(left.rows.back().val_loss);
  EXPECT_EQ(left.best, left.last);  // without validation, and without an average
}

TEST_F(Runs, TheFilesSayWhatTheyAre) {
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(busy())), Outcome::kFinished);
  const weights::LoadedModel loaded = weights::load_model(path + "/best.safetensors");
  EXPECT_EQ(loaded.info.classes, (std::vector<std::string>{"blue", "green", "red"}));
  EXPECT_EQ(loaded.info.config.classes, 3);
  EXPECT_EQ(nlohmann::json::parse(loaded.info.preprocess_json)["preset"], "timm");
  const nlohmann::json config = nlohmann::json::parse(read_text(path + "/config.json"));
  EXPECT_EQ(recipe_from_json(config["recipe"], "config.json"), busy());
  EXPECT_EQ(config["train_photos"], 18);
  EXPECT_EQ(config["validation_photos"], 6);
  EXPECT_EQ(config["steps_per_epoch"], 3);
  EXPECT_EQ(config["steps"], 6);
  EXPECT_EQ(config["weights"], "-m m.safetensors");
  EXPECT_EQ(notices[0],
            fmt::format("[data] {}: class folders: 24 photos of 3 classes: blue 8, green 8, red 8", images));
  EXPECT_EQ(notices[1], fmt::format("[data] {}: of these 18 train, 6 validate", images));
  EXPECT_EQ(notices[2], "[train] the head is new: 3 classes with random values");
  const nlohmann::json& found = config["found"];
  EXPECT_EQ(found["kind"], "class folders");
  EXPECT_EQ(found["photos"], 24);
  EXPECT_EQ(found["classes"][2], nlohmann::json({{"name", "red"}, {"photos", 8}, {"validation", 2}}));
  EXPECT_EQ(found["sides"], nlohmann::json::array());
  EXPECT_EQ(found["left_out"], nlohmann::json::array());
  EXPECT_EQ(found["identical"]["count"], 0);
  EXPECT_EQ(found["contradictory"]["count"], 0);
  EXPECT_EQ(found["unreadable"]["count"], 0);
  // The averaged weights are the best ones, the last are those of the last step.
  EXPECT_FALSE(same_weights(path + "/best.safetensors", path + "/last.safetensors"));
  EXPECT_TRUE(same_weights(path + "/checkpoint/state.safetensors", path + "/last.safetensors"));
}

TEST_F(Runs, TheReportShowsTheBestEpoch) {
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(busy())), Outcome::kFinished);
  const std::vector<EpochRow> rows = read_run_log(path + "/log.csv");
  const auto best = std::ranges::max_element(rows, [](const EpochRow& a, const EpochRow& b) {
    return *a.val_accuracy != *b.val_accuracy ? *a.val_accuracy < *b.val_accuracy : *a.val_loss > *b.val_loss;
  });
  const std::string page = read_text(path + "/report.html");
  EXPECT_EQ(testing::complaint_about_markup(page), "");
  EXPECT_NE(page.find(fmt::format("<title>{}: m on photos</title>", std::filesystem::path(path).filename().string())),
            std::string::npos);
  EXPECT_NE(page.find(fmt::format("the best was epoch {}", best->epoch)), std::string::npos);
  EXPECT_NE(page.find(fmt::format("<b>{:.1f} %</b><span>accuracy, ", 100.0 * *best->val_accuracy)), std::string::npos);
  EXPECT_NE(page.find("data:image/webp"), std::string::npos);
  EXPECT_NE(
      page.find(fmt::format("<code>gcvit eval {} --list {}/val.txt -m {}/best.safetensors</code>", images, path, path)),
      std::string::npos);
  EXPECT_EQ(testing::complaint_about_markup(read_text(path + "/curves.svg")), "");
  // Six photos can't say how sure is too sure.
  EXPECT_EQ(weights::load_model(path + "/best.safetensors").info.temperature, std::nullopt);
  EXPECT_NE(page.find("No temperature is stored: 6 photos are too few"), std::string::npos);
}

TEST_F(Runs, TheReportExplainsItsMistakes) {
  const auto count_of = [](const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
  };
  Recipe recipe = busy();
  recipe.lr = recipe.min_lr = 1e-9;  // learns nothing, so that there are mistakes
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  const std::string page = read_text(path + "/report.html");
  EXPECT_EQ(testing::complaint_about_markup(page), "");
  const std::string mistakes = page.substr(page.find("<h2>The surest mistakes</h2>"));
  const std::size_t wrong = count_of(mistakes.substr(0, mistakes.find("</section>")), "<figure class=\"wrong\"><img");
  ASSERT_GT(wrong, 0u);
  EXPECT_EQ(count_of(page, "<img alt=\"Grad-CAM\""), wrong);

  // A finished run that goes on writes its report again, as it is wanted then.
  RunFolder again(path);
  again.open();
  RunOptions plain = options(recipe);
  plain.explain = false;
  EXPECT_EQ(resume_run(again, plain, read_checkpoint(again.checkpoint())), Outcome::kFinished);
  const std::string without = read_text(path + "/report.html");
  EXPECT_EQ(without.find("Grad-CAM"), std::string::npos);
  EXPECT_LT(page.size(), without.size() + wrong * 40'000 + 1'000);
}

TEST_F(Runs, WithoutValidationThereIsAReportToo) {
  Recipe recipe = busy();
  recipe.val_split = 0.0;
  recipe.epochs = 1;
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  const std::string page = read_text(path + "/report.html");
  EXPECT_NE(page.find("training accuracy"), std::string::npos);
  EXPECT_NE(page.find(fmt::format("<code>gcvit eval PHOTOS -m {}/best.safetensors</code>", path)), std::string::npos);
  EXPECT_EQ(page.find("val.txt"), std::string::npos);
  EXPECT_EQ(weights::load_model(path + "/best.safetensors").info.temperature, std::nullopt);
}

TEST_F(Runs, AKnownHeadIsKept) {
  testing::write_tiny_model(folder / "m.safetensors", {"Red", "x", "y", "green", "blue", "z", "w"});
  Recipe recipe = busy();
  recipe.num_classes = 7;
  recipe.lr = recipe.min_lr = 0.0;
  recipe.drop_path = 0.0;
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  EXPECT_TRUE(same_weights(path + "/last.safetensors", folder / "m.safetensors"));
  EXPECT_EQ(weights::load_model(path + "/last.safetensors").info.classes[0], "Red");
  recipe.num_classes = 2;
  EXPECT_NE(failure(recipe).find("expected at most 2 classes, as --num-classes says, found 3"), std::string::npos);
}

TEST_F(Runs, WhatIsFrozenStays) {
  Recipe recipe = busy();
  recipe.freeze = "all-but-head";
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  const weights::LoadedModel before = weights::load_model(folder / "m.safetensors");
  const weights::LoadedModel after = weights::load_model(path + "/last.safetensors");
  for (std::size_t i = 0; i < after.model->parameters().size(); ++i) {
    const ops::Parameter& parameter = *after.model->parameters()[i];
    if (parameter.name.starts_with("head.")) continue;
    EXPECT_TRUE(std::ranges::equal(parameter.tensor.values(), before.model->parameters()[i]->tensor.values()))
        << parameter.name;
  }
}

TEST_F(Runs, ALinearProbeTrainsTheHead) {
  Recipe recipe = preset("finetune", true);
  recipe.epochs = 6;
  recipe.batch_size = 8;
  recipe.val_split = 0.25;
  const Left whole = run(recipe);
  EXPECT_LT(whole.rows.back().loss, whole.rows.front().loss);
  EXPECT_NE(read_text(folder / "run0/report.html").find("and 6 epochs"), std::string::npos);
  EXPECT_EQ(read_text(folder / "run0/report.html").find(" a second"), std::string::npos);
  EXPECT_NE(read_text(folder / "run0/report.html").find("the head alone"), std::string::npos);
  const std::string path = new_folder();
  RunOptions first = options(recipe);
  int asked = 0;
  first.stop = [&] { return holds_run(path) && ++asked == 9; };
  EXPECT_EQ(start_run(path, first), Outcome::kStopped);
  RunFolder again(path);
  again.open();
  EXPECT_EQ(resume_run(again, options(Recipe{}), read_checkpoint(again.checkpoint())), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
}

TEST_F(Runs, TheWarmUpOfAShortRunIsAFifthOfIt) {
  // 18 photos train: 3 steps an epoch, of which the recipe's one epoch would be all there are.
  const auto rates = [&](double warmup, std::int32_t epochs, bool keep) {
    Recipe recipe = busy();
    recipe.epochs = epochs;
    recipe.warmup_epochs = warmup;
    RunOptions asked = options(recipe);
    asked.keep_warmup = keep;
    const std::string path = new_folder();
    notices.clear();
    EXPECT_EQ(start_run(path, asked), Outcome::kFinished);
    std::vector<double> found;
    std::istringstream lines(read_text(path + "/steps.csv"));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) found.push_back(std::stod(line.substr(line.rfind(',') + 1)));
    EXPECT_EQ(found.size(), static_cast<std::size_t>(3 * epochs));
    return found;
  };
  const auto said = [&] {
    return std::ranges::any_of(notices, [](const std::string& notice) {
      return notice.find("warm-up takes 1 of 6 steps in place of 3: --warmup-epochs sets it") != std::string::npos;
    });
  };
  const double lr = busy().lr;
  const std::vector<double> capped = rates(1.0, 2, false);
  EXPECT_EQ(capped[0], lr);
  EXPECT_EQ(capped[1], lr);
  EXPECT_LT(capped[2], lr);
  EXPECT_TRUE(said());
  const std::vector<double> asked_for = rates(1.0, 2, true);
  EXPECT_NEAR(asked_for[0], lr / 3.0, 1e-12);
  EXPECT_EQ(asked_for[2], lr);
  EXPECT_FALSE(said());
  EXPECT_EQ(rates(1.0, 1, false)[0], lr);  // of 3 steps none
  EXPECT_NEAR(rates(1.0, 5, false)[0], lr / 3.0, 1e-12);  // of 15 the 3 that were wanted
}

TEST_F(Runs, ValTxtNamesTheImagesThatValidate) {
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(busy())), Outcome::kFinished);
  const std::string list = path + "/val.txt";
  std::string expected;
  for (const SplitImage& image : read_checkpoint(path + "/checkpoint/state.safetensors").state.validation) {
    expected += image.name + "\n";
  }
  EXPECT_EQ(std::ranges::count(expected, '\n'), 6);
  EXPECT_EQ(read_text(list), expected);
  // Which is what --val-list takes.
  Recipe recipe = busy();
  recipe.val_list = list;
  const std::string other = new_folder();
  EXPECT_EQ(start_run(other, options(recipe)), Outcome::kFinished);
  EXPECT_EQ(read_text(other + "/val.txt"), expected);
  EXPECT_EQ(read_text(other + "/last.safetensors"), read_text(path + "/last.safetensors"));
}

TEST_F(Runs, ValTxtNamesNoImageThatTrains) {
  // Shards of one name whose photos have the same names.
  for (int shard = 0; shard < 2; ++shard) {
    std::string bytes;
    for (const std::string name : {"blue", "green", "red"}) {
      for (int i = 0; i < 4; ++i) {
        const std::string key = name + std::to_string(i);
        const std::string image = read_text(fmt::format("{}/{}/{}.png", images, name, i + 4 * shard));
        bytes += data::member_of(key + ".png", image) + data::member_of(key + ".cls", name);
      }
    }
    const std::string place = folder / std::to_string(shard);
    std::filesystem::create_directories(place);
    write_text(place + "/x.tar", bytes + std::string(1024, '\0'));
  }
  RunOptions first = options(busy());
  first.data = folder / "{0..1}/x.tar";
  const std::string path = new_folder();
  ASSERT_EQ(start_run(path, first), Outcome::kFinished);
  const RunState state = read_checkpoint(path + "/checkpoint/state.safetensors").state;
  std::string expected;
  for (const SplitImage& image : state.validation) {
    const bool trains = std::ranges::any_of(state.train, [&](const auto& one) { return one.name == image.name; });
    if (!trains) expected += image.name + "\n";
  }
  EXPECT_LT(std::ranges::count(expected, '\n'), 6);
  EXPECT_EQ(read_text(path + "/val.txt"), expected);
}

TEST_F(Runs, MaxStepsAndEarlyStop) {
  Recipe recipe = busy();
  recipe.max_steps = 4;
  Left left = run(recipe);
  ASSERT_EQ(left.rows.size(), 2u);
  recipe.max_steps = 0;
  recipe.epochs = 30;
  recipe.early_stop = 2;
  recipe.lr = recipe.min_lr = recipe.ema_decay = 0.0;  // nothing gets better
  left = run(recipe);
  EXPECT_EQ(left.rows.size(), 3u);
}

TEST_F(Runs, ABrokenImageIsSaidAndSkipped) {
  write_text(images + "/red/3.png", "no picture");
  Recipe recipe = busy();
  recipe.val_split = 0.0;
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  const auto said = std::ranges::count_if(notices, [](const std::string& sentence) {
    return sentence.find("red/3.png") != std::string::npos && sentence.ends_with(": skipped");
  });
  EXPECT_EQ(said, 1);
  EXPECT_EQ(read_checkpoint(path + "/checkpoint/state.safetensors").state.skipped,
            std::vector<std::string>{"red/3.png"});
  recipe.strict = true;
  EXPECT_NE(failure(recipe).find("red/3.png"), std::string::npos);
}

TEST_F(Runs, ATeacherIsFollowed) {
  Recipe recipe = busy();
  recipe.mixup = recipe.cutmix = 0.0;
  const Left alone = run(recipe);
  std::ofstream file(folder / "teacher.jsonl");
  for (const char* name : {"blue", "green", "red"}) {
    for (int i = 0; i < 8; ++i) {
      file << fmt::format("{{\"image\": \"{}/{}.png\", \"logits\": [{}, 1, 0]}}\n", name, i, i);
    }
  }
  file.close();
  recipe.soft_labels = folder / "teacher.jsonl";
  recipe.soft_weight = 0.0;
  EXPECT_EQ(run(recipe).last, alone.last);
  recipe.soft_weight = 0.5;
  EXPECT_NE(run(recipe).last, alone.last);
  write_text(folder / "teacher.jsonl", "{\"image\": \"red/0.png\", \"logits\": [1, 2]}\n");
  EXPECT_NE(failure(recipe).find("line 1: expected 3 logits, found 2"), std::string::npos);
  write_text(folder / "teacher.jsonl", "{\"image\": \"red/0.png\", \"logits\": [1, 2, 3]}\n");
  notices.clear();
  run(recipe);
  EXPECT_TRUE(std::ranges::any_of(notices, [](const std::string& sentence) {
    return sentence.find("their labels stand for a teacher") != std::string::npos;
  }));
  write_text(folder / "teacher.jsonl", "\n{\"image\": 3}\n");
  EXPECT_NE(failure(recipe).find("line 2: expected a line as"), std::string::npos);
}

TEST_F(Runs, AListMayNameAImageTwice) {
  std::string list;
  for (const char* name : {"blue", "green", "red"}) {
    for (const int i : {0, 1, 2, 3, 3, 3}) list += fmt::format("{}/{}.png,{}\n", name, i, name);
  }
  images += "/list.csv";
  write_text(images, list);
  const Left whole = run(busy());
  const std::string path = new_folder();
  RunOptions first = options(busy());
  first.stop = [&] { return holds_run(path); };
  EXPECT_EQ(start_run(path, first), Outcome::kStopped);
  RunFolder again(path);
  again.open();
  EXPECT_EQ(resume_run(again, options(Recipe{}), read_checkpoint(again.checkpoint())), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
}

TEST_F(Runs, AClassThatIsNotUtf8IsNamedBeforeAnythingIsWritten) {
  std::filesystem::rename(images + "/green", images + "/gr\xfcn");
  const std::string path = new_folder();
  EXPECT_NE(weights::error_of([&] {
              (void)start_run(path, options(busy()));
            }).find("expected a name in UTF-8, as model files have, found other bytes"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Runs, AFolderIsOneProcesss) {
  const std::string path = new_folder();
  RunFolder held(path);
  held.make();
  RunFolder again(path);
  EXPECT_EQ(weights::error_of([&] { again.open(); }), "[train] " + path + ": another process trains in this folder");
}

TEST_F(Runs, WhatNeedsMoreMemoryThanAllowedIsNotBegun) {
  RunOptions given = options(busy());
  given.max_memory = 40 << 20;
  const std::string place = new_folder();
  EXPECT_TRUE(
      weights::error_of([&] { (void)start_run(place, given); }).starts_with("[memory] batches of 8 images of "));
  EXPECT_FALSE(holds_run(place));
}

}  // namespace
}  // namespace gcvit::train
