// SPDX-License-Identifier: Apache-2.0
// Steps that make numbers of no use: the run ends, and what was saved before stays.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>

#include "tests/train/runs.h"

namespace gcvit::train {
namespace {

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

}  // namespace
}  // namespace gcvit::train
