// SPDX-License-Identifier: Apache-2.0
#include "train/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/classifier/test_photos.h"
#include "tests/report/markup.h"
#include "tests/weights/test_files.h"
#include "train/run_log.h"
#include "weights/load.h"

namespace gcvit::train {
namespace {

using weights::read_text;
using weights::write_text;

/// What a run left, but for times.
struct Left {
  std::string last;
  std::string best;
  std::string steps;
  std::vector<EpochRow> rows;
  bool operator==(const Left&) const = default;
};

struct Runs : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string photos = folder / "photos";
  std::vector<std::string> notices;
  int runs = 0;

  Runs() {
    testing::write_tiny_model(folder / "m.safetensors");
    unsigned seed = 0;
    std::size_t channel = 3;
    for (const char* name : {"blue", "green", "red"}) {
      std::filesystem::create_directories(photos + "/" + name);
      --channel;
      for (int i = 0; i < 8; ++i) {
        // Blobs of any colour on a ground of the class's own.
        std::vector<std::uint8_t> pixels = testing::blob_pixels(40, 56, seed++);
        for (std::size_t p = channel; p < pixels.size(); p += 3) pixels[p] = std::max<std::uint8_t>(pixels[p], 220);
        write_text(fmt::format("{}/{}/{}.png", photos, name, i), testing::png_of(pixels, 40, 56));
      }
    }
  }

  /// A few steps of everything that draws random numbers or keeps state.
  static Recipe busy() {
    Recipe recipe = preset("finetune");
    recipe.epochs = 2;
    recipe.batch_size = 8;
    recipe.ema_decay = 0.9;
    recipe.mixup = recipe.cutmix = 0.5;
    recipe.augment = "randaug";
    recipe.random_erasing = 0.3;
    recipe.drop_path = 0.2;
    recipe.val_split = 0.25;
    recipe.seed = 7;
    return recipe;
  }

  RunOptions options(const Recipe& recipe, int threads = 2) {
    RunOptions result;
    result.data = photos;
    result.start.weights = folder / "m.safetensors";
    result.weights = "-m m.safetensors";
    result.recipe = recipe;
    result.keep_warmup = true;  // an epoch of two
    result.threads = threads;
    result.notice = [this](std::string_view sentence) { notices.emplace_back(sentence); };
    return result;
  }

  std::string new_folder() { return folder / fmt::format("run{}", runs++); }

  static Left left_in(const std::string& run) {
    Left left{read_text(run + "/last.safetensors"), read_text(run + "/best.safetensors"), read_text(run + "/steps.csv"),
              read_run_log(run + "/log.csv")};
    for (EpochRow& row : left.rows) row.seconds = row.images_per_second = 0.0;
    return left;
  }

  Left run(const Recipe& recipe, int threads = 2) {
    const std::string path = new_folder();
    EXPECT_EQ(start_run(path, options(recipe, threads)), Outcome::kFinished);
    return left_in(path);
  }

  /// Whether the two files' tensors have the same bits.
  static bool same_weights(const std::string& a, const std::string& b) {
    const weights::LoadedModel one = weights::load_model(a);
    const weights::LoadedModel two = weights::load_model(b);
    for (std::size_t i = 0; i < one.model->parameters().size(); ++i) {
      const std::span<const float> left = one.model->parameters()[i]->tensor.values();
      if (!std::ranges::equal(left, two.model->parameters()[i]->tensor.values())) return false;
    }
    return true;
  }

  std::string failure(const Recipe& recipe) {
    return weights::error_of([&] { (void)start_run(new_folder(), options(recipe)); });
  }
};

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

TEST_F(Runs, StoppedAnywhereAndResumedItEndsTheSame) {
  const Left whole = run(busy());
  // `stop` is asked after each step and each batch of the validation: at the n-th question since the first checkpoint
  // it says yes.
  int stops = 0;
  for (int n = 1;; ++n) {
    const std::string path = new_folder();
    RunOptions first = options(busy());
    int asked = 0;
    first.stop = [&] { return holds_run(path) && ++asked == n; };
    if (start_run(path, first) == Outcome::kFinished) break;
    ++stops;
    RunFolder again(path);
    again.open();
    const Checkpoint checkpoint = read_checkpoint(again.checkpoint());
    EXPECT_EQ(resume_run(again, options(Recipe{}, 1), checkpoint), Outcome::kFinished);
    EXPECT_EQ(left_in(path), whole) << n;
  }
  EXPECT_GE(stops, 8);
}

TEST_F(Runs, StoppedBeforeItBeginsItLeavesNothing) {
  const std::string path = new_folder();
  RunOptions first = options(busy());
  first.stop = [] { return true; };
  EXPECT_EQ(start_run(path, first), Outcome::kStopped);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Runs, AnEarlierCheckpointGivesTheSameFiles) {
  // As when the program is killed: the folder's files are of any time, the checkpoint of an earlier one.
  const std::string path = new_folder();
  std::vector<std::string> saved;
  RunOptions first = options(busy());
  first.checkpoint_minutes = 0.0;
  first.stop = [&] {
    if (holds_run(path)) saved.push_back(read_text(path + "/checkpoint/state.safetensors"));
    return false;
  };
  EXPECT_EQ(start_run(path, first), Outcome::kFinished);
  const Left whole = left_in(path);
  for (std::size_t i = 0; i < saved.size(); i += 2) {
    write_text(path + "/checkpoint/state.safetensors", saved[i]);
    write_text(path + "/last.safetensors.1.0.part", "half written");
    RunFolder again(path);
    again.open();
    EXPECT_EQ(resume_run(again, options(Recipe{}), read_checkpoint(again.checkpoint())), Outcome::kFinished);
    EXPECT_EQ(left_in(path), whole) << i;
    EXPECT_FALSE(std::filesystem::exists(path + "/last.safetensors.1.0.part"));
  }
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
            fmt::format("[data] {}: class folders: 24 photos of 3 classes: blue 8, green 8, red 8", photos));
  EXPECT_EQ(notices[1], fmt::format("[data] {}: of these 18 train, 6 validate", photos));
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
  EXPECT_NE(page.find("<title>m on photos</title>"), std::string::npos);
  EXPECT_NE(page.find(fmt::format("the best was epoch {}", best->epoch)), std::string::npos);
  EXPECT_NE(page.find(fmt::format("<b>{:.1f} %</b><span>validation accuracy", 100.0 * *best->val_accuracy)),
            std::string::npos);
  EXPECT_NE(page.find("data:image/webp"), std::string::npos);
  EXPECT_EQ(testing::complaint_about_markup(read_text(path + "/curves.svg")), "");
  // Six photos can't say how sure is too sure.
  EXPECT_EQ(weights::load_model(path + "/best.safetensors").info.temperature, std::nullopt);
  EXPECT_NE(page.find("no temperature is stored: 6 photos are too few"), std::string::npos);
}

TEST_F(Runs, WithoutValidationThereIsAReportToo) {
  Recipe recipe = busy();
  recipe.val_split = 0.0;
  recipe.epochs = 1;
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  EXPECT_NE(read_text(path + "/report.html").find("training accuracy"), std::string::npos);
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
  EXPECT_NE(read_text(folder / "run0/report.html").find(" features a second"), std::string::npos);
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

TEST_F(Runs, AConstantRateLetsARunBecomeLonger) {
  Recipe recipe = busy();
  recipe.sched = "constant";
  recipe.warmup_epochs = 0.0;
  recipe.epochs = 3;
  const Left whole = run(recipe);
  recipe.epochs = 1;
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  RunFolder again(path);
  again.open();
  RunOptions longer = options(Recipe{});
  longer.epochs = 3;
  EXPECT_EQ(resume_run(again, longer, read_checkpoint(again.checkpoint())), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_EQ(nlohmann::json::parse(read_text(path + "/config.json"))["recipe"]["epochs"], 3);
}

TEST_F(Runs, ValTxtNamesThePhotosThatValidate) {
  const std::string path = new_folder();
  EXPECT_EQ(start_run(path, options(busy())), Outcome::kFinished);
  const std::string list = path + "/val.txt";
  std::string expected;
  for (const SplitPhoto& photo : read_checkpoint(path + "/checkpoint/state.safetensors").state.validation) {
    expected += photo.name + "\n";
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

TEST_F(Runs, ALossThatIsNotFiniteEndsTheRun) {
  Recipe recipe = busy();
  recipe.lr = 1e30;
  recipe.sched = "constant";
  recipe.warmup_epochs = 0.0;
  recipe.clip_grad = 0.0;
  recipe.layer_decay = 1.0;
  const std::string path = new_folder();
  const std::string sentence = weights::error_of([&] { (void)start_run(path, options(recipe)); });
  EXPECT_NE(sentence.find("[train] step 2: the "), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("at learning rate 1e+30"), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("try --lr 1e+29 or --clip-grad 1 or --warmup-epochs 1"), std::string::npos) << sentence;
  EXPECT_FALSE(std::filesystem::exists(path + "/last.safetensors"));
  EXPECT_EQ(read_checkpoint(path + "/checkpoint/state.safetensors").state.step, 0);
}

/// What the error of a run says whose last step makes weights of no use.
struct Diverged {
  std::string sentence;
  std::string best;
  std::string last;
  std::int64_t saved_step;
};

struct DivergedRuns : Runs {
  /// One step at the rate `lr`.
  static Recipe one_step(double lr) {
    Recipe recipe = busy();
    recipe.batch_size = 32;
    recipe.epochs = 1;
    recipe.lr = lr;
    recipe.min_lr = 0.0;
    recipe.sched = "constant";
    recipe.warmup_epochs = 0.0;
    recipe.layer_decay = 1.0;
    recipe.weight_decay = 0.0;
    return recipe;
  }

  Diverged diverge(const Recipe& recipe) {
    const std::string path = new_folder();
    const std::string sentence = weights::error_of([&] { (void)start_run(path, options(recipe)); });
    const std::string state = path + "/checkpoint/state.safetensors";
    return {sentence, read_text(path + "/best.safetensors"), read_text(path + "/last.safetensors"),
            std::filesystem::exists(state) ? read_checkpoint(state).state.step : -1};
  }
};

TEST_F(DivergedRuns, TheLastStepIsLookedAtToo) {
  // No step follows that would find an infinite loss: with and without validation and average.
  for (const double val_split : {0.25, 0.0}) {
    for (const double ema_decay : {0.0, 0.9}) {
      Recipe recipe = one_step(1e30);
      recipe.val_split = val_split;
      recipe.ema_decay = ema_decay;
      const Diverged left = diverge(recipe);
      EXPECT_TRUE(left.sentence.starts_with("[train] step 1: the logit of a photo under the new weights is "))
          << left.sentence;
      EXPECT_NE(left.sentence.find("at learning rate 1e+30, after losses of "), std::string::npos) << left.sentence;
      EXPECT_NE(left.sentence.find("most likely the learning rate is too high: try --lr 1e+29 or --warmup-epochs 1. "
                                   "Nothing was saved of it"),
                std::string::npos)
          << left.sentence;
      EXPECT_EQ(left.best, "");
      EXPECT_EQ(left.last, "");
      EXPECT_EQ(left.saved_step, 0);
    }
  }
}

TEST_F(DivergedRuns, AnInfiniteWeightIsNamed) {
  Recipe recipe = one_step(1e300);
  const Diverged left = diverge(recipe);
  EXPECT_TRUE(left.sentence.starts_with("[train] step 1: the weight ")) << left.sentence;
  EXPECT_EQ(left.best + left.last, "");
}

TEST_F(DivergedRuns, ALinearProbesHeadToo) {
  Recipe recipe = preset("finetune", true);
  recipe.batch_size = 32;
  recipe.epochs = 1;
  recipe.lr = 1e38;
  recipe.sched = "constant";
  recipe.val_split = 0.0;
  const Diverged left = diverge(recipe);
  EXPECT_TRUE(left.sentence.starts_with("[train] step 1: the ")) << left.sentence;
  EXPECT_EQ(left.best + left.last, "");
}

TEST_F(DivergedRuns, ACheckpointInTheMiddleKeepsTheStepBefore) {
  Recipe recipe = one_step(1e30);
  recipe.batch_size = 4;
  const std::string path = new_folder();
  RunOptions first = options(recipe);
  first.checkpoint_minutes = 0.0;
  EXPECT_NE(weights::error_of([&] { (void)start_run(path, first); }).find("[train] step 1: the logit of a photo"),
            std::string::npos);
  EXPECT_EQ(read_checkpoint(path + "/checkpoint/state.safetensors").state.step, 0);
}

TEST_F(DivergedRuns, WhatWasSavedBeforeStays) {
  // An epoch at a rate of 1e-3, and one at 1e30, the last.
  Recipe recipe = one_step(1e-3);
  const std::string path = new_folder();
  RunOptions first = options(recipe);
  EXPECT_EQ(start_run(path, first), Outcome::kFinished);
  const std::string best = read_text(path + "/best.safetensors");
  const std::string last = read_text(path + "/last.safetensors");
  RunFolder again(path);
  again.open();
  Checkpoint checkpoint = read_checkpoint(again.checkpoint());
  checkpoint.state.recipe.epochs = 2;
  checkpoint.state.recipe.lr = 1e30;
  const std::string sentence = weights::error_of([&] { (void)resume_run(again, options(Recipe{}), checkpoint); });
  EXPECT_TRUE(sentence.starts_with("[train] step 2: the ")) << sentence;
  EXPECT_EQ(read_text(path + "/best.safetensors"), best);
  EXPECT_EQ(read_text(path + "/last.safetensors"), last);
  EXPECT_EQ(read_checkpoint(again.checkpoint()).state.step, 1);
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

TEST_F(Runs, ABrokenPhotoIsSaidAndSkipped) {
  write_text(photos + "/red/3.png", "no picture");
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

TEST_F(Runs, AResumedRunNeedsItsPhotos) {
  const std::string path = new_folder();
  RunOptions first = options(busy());
  first.stop = [&] { return holds_run(path); };
  EXPECT_EQ(start_run(path, first), Outcome::kStopped);
  write_text(photos + "/red/new.png", testing::blob_png(77));
  RunFolder again(path);
  again.open();
  const Checkpoint checkpoint = read_checkpoint(again.checkpoint());
  EXPECT_EQ(resume_run(again, options(Recipe{}), checkpoint), Outcome::kFinished);
  EXPECT_TRUE(std::ranges::any_of(
      notices, [](const std::string& sentence) { return sentence.find("1 photos in") != std::string::npos; }));
  std::filesystem::remove(photos + "/red/0.png");
  EXPECT_NE(weights::error_of([&] {
              (void)resume_run(again, options(Recipe{}), checkpoint);
            }).find("red/0.png: the run that is to go on had this photo, and it is gone"),
            std::string::npos);
}

TEST_F(Runs, AListMayNameAPhotoTwice) {
  std::string list;
  for (const char* name : {"blue", "green", "red"}) {
    for (const int i : {0, 1, 2, 3, 3, 3}) list += fmt::format("{}/{}.png,{}\n", name, i, name);
  }
  photos += "/list.csv";
  write_text(photos, list);
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

/// A run that stopped behind its first step, and what becomes of it.
struct ResumedRuns : Runs {
  std::string path;
  Left whole;

  void begin(const Recipe& recipe) {
    whole = run(recipe);
    path = new_folder();
    RunOptions first = options(recipe);
    first.stop = [&] { return holds_run(path); };
    EXPECT_EQ(start_run(path, first), Outcome::kStopped);
    notices.clear();
  }
  Outcome resume() {
    RunFolder again(path);
    again.open();
    return resume_run(again, options(Recipe{}), read_checkpoint(again.checkpoint()));
  }
  std::string resume_failure() {
    return weights::error_of([&] { (void)resume(); });
  }
  void write_anew(const std::string& file) const {
    write_text(file, read_text(file));
    std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  }
  bool noticed(const std::string& part) const {
    return std::ranges::any_of(notices,
                               [&](const std::string& sentence) { return sentence.find(part) != std::string::npos; });
  }
};

TEST_F(ResumedRuns, AnotherPhotoOfThatNameIsNamed) {
  begin(busy());
  const std::string file = photos + "/green/5.png";
  const std::string before = read_text(file);
  write_text(file, before + "x");
  EXPECT_EQ(resume_failure(), "[train] " + photos +
                                  ": green/5.png: expected the photo that the run began with, found another (its file "
                                  "has " +
                                  std::to_string(before.size() + 1) + " bytes instead of " +
                                  std::to_string(before.size()) + ")");
  // As many bytes, and others.
  std::string other = before;
  other.back() = static_cast<char>(other.back() ^ 1);
  write_text(file, other);
  write_anew(file);
  EXPECT_EQ(resume_failure(), "[train] " + photos +
                                  ": green/5.png: expected the photo that the run began with, found another (its "
                                  "SHA-256 differs)");
  write_text(file, before);
  write_anew(file);
  EXPECT_EQ(resume(), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_FALSE(noticed("written anew"));
}

TEST_F(ResumedRuns, WithoutHashesANewTimeIsSaid) {
  Recipe recipe = busy();
  recipe.val_split = 0.0;
  begin(recipe);
  write_anew(photos + "/green/5.png");
  write_anew(photos + "/red/1.png");
  EXPECT_EQ(resume(), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_TRUE(noticed("green/5.png and 1 other photos: written anew since the run began, with the same size"));
  write_text(photos + "/red/1.png", "short");
  EXPECT_NE(resume_failure().find("red/1.png: expected the photo that the run began with"), std::string::npos);
}

TEST_F(ResumedRuns, NewPhotosDoNotMoveTheOthers) {
  begin(busy());
  write_text(photos + "/blue/.hidden.png", testing::blob_png(77));
  write_text(photos + "/blue/0 first.png", testing::blob_png(78));
  write_text(photos + "/green/55.png", testing::blob_png(79));
  EXPECT_EQ(resume(), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_TRUE(noticed("2 photos in"));
}

TEST_F(ResumedRuns, AnotherClassOfAPhotoIsNamed) {
  std::string list;
  for (const char* name : {"blue", "green", "red"}) {
    for (int i = 0; i < 8; ++i) list += fmt::format("{}/{}.png,{}\n", name, i, name);
  }
  photos += "/list.csv";
  write_text(photos, list);
  begin(busy());
  const std::string line = "green/3.png,";
  write_text(photos, list.replace(list.find(line + "green"), line.size() + 5, line + "red"));
  EXPECT_EQ(resume_failure(), "[train] " + photos +
                                  ": green/3.png: expected its class to be output 1 of the head, as when the run "
                                  "began, found output 2");
}

TEST_F(ResumedRuns, AnOlderCheckpointGoesOnAndSaysSo) {
  begin(busy());
  RunFolder again(path);
  again.open();
  Checkpoint checkpoint = read_checkpoint(again.checkpoint());
  checkpoint.state.stamped = false;
  for (auto* side : {&checkpoint.state.train, &checkpoint.state.validation}) {
    for (SplitPhoto& photo : *side) photo = {photo.sample, photo.name, 0, {}};
  }
  EXPECT_EQ(resume_run(again, options(Recipe{}), checkpoint), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_TRUE(noticed("the checkpoint is an older version's"));
  // What it writes itself has them.
  EXPECT_TRUE(read_checkpoint(again.checkpoint()).state.stamped);
  EXPECT_TRUE(read_checkpoint(again.checkpoint()).state.train[0].stamp.there);
}

TEST_F(Runs, AClassThatIsNotUtf8IsNamedBeforeAnythingIsWritten) {
  std::filesystem::rename(photos + "/green", photos + "/gr\xfcn");
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
