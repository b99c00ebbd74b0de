// SPDX-License-Identifier: Apache-2.0
// Runs that go on: to the same bits, with the same photos, or longer than they began.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/train/runs.h"

namespace gcvit::train {
namespace {

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

TEST_F(Runs, AnOlderVersionsTestImagesStillValidate) {
  const std::string sides = folder / "sides";
  for (const char* side : {"/train", "/eval"}) {
    std::filesystem::create_directories(sides);
    std::filesystem::copy(images, sides + side, std::filesystem::copy_options::recursive);
  }
  RunOptions first = options(busy());
  first.data = sides;
  const std::string path = new_folder();
  ASSERT_EQ(start_run(path, first), Outcome::kFinished);
  std::filesystem::rename(sides + "/eval", sides + "/test");
  RunFolder again(path);
  again.open();
  Checkpoint checkpoint = read_checkpoint(again.checkpoint());
  for (SplitImage& image : checkpoint.state.validation) image.name.replace(0, 4, "test");
  RunOptions rest = options(Recipe{});
  rest.data = sides;
  EXPECT_EQ(resume_run(again, rest, checkpoint), Outcome::kFinished);
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

TEST_F(Runs, AResumedRunNeedsItsImages) {
  const std::string path = new_folder();
  RunOptions first = options(busy());
  first.stop = [&] { return holds_run(path); };
  EXPECT_EQ(start_run(path, first), Outcome::kStopped);
  write_text(images + "/red/new.png", testing::blob_png(77));
  RunFolder again(path);
  again.open();
  const Checkpoint checkpoint = read_checkpoint(again.checkpoint());
  EXPECT_EQ(resume_run(again, options(Recipe{}), checkpoint), Outcome::kFinished);
  EXPECT_TRUE(std::ranges::any_of(
      notices, [](const std::string& sentence) { return sentence.find("1 photos in") != std::string::npos; }));
  std::filesystem::remove(images + "/red/0.png");
  EXPECT_NE(weights::error_of([&] {
              (void)resume_run(again, options(Recipe{}), checkpoint);
            }).find("red/0.png: the run that is to go on had this photo, and it is gone"),
            std::string::npos);
}

TEST_F(Runs, AnOlderVersionsRepeatedImageIsReadTwice) {
  Recipe recipe = busy();
  recipe.sched = "constant";
  recipe.warmup_epochs = 0.0;
  recipe.epochs = 1;
  const std::string path = new_folder();
  ASSERT_EQ(start_run(path, options(recipe)), Outcome::kFinished);
  RunFolder again(path);
  again.open();
  Checkpoint checkpoint = read_checkpoint(again.checkpoint());
  // Its place is behind all others', as where the list's last line came twice.
  SplitImage last = checkpoint.state.validation.back();
  last.sample = 24;
  checkpoint.state.validation.push_back(last);
  RunOptions longer = options(Recipe{});
  longer.epochs = 2;
  EXPECT_EQ(resume_run(again, longer, checkpoint), Outcome::kFinished);
  EXPECT_EQ(read_checkpoint(again.checkpoint()).state.validation.size(), 7u);
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
  const nlohmann::json found = nlohmann::json::parse(read_text(path + "/config.json"))["found"];
  EXPECT_TRUE(found.contains("identical"));
  RunFolder again(path);
  again.open();
  RunOptions longer = options(Recipe{});
  longer.epochs = 3;
  EXPECT_EQ(resume_run(again, longer, read_checkpoint(again.checkpoint())), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  const nlohmann::json config = nlohmann::json::parse(read_text(path + "/config.json"));
  EXPECT_EQ(config["recipe"]["epochs"], 3);
  EXPECT_EQ(config["found"], found);
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

TEST_F(ResumedRuns, AnotherImageOfThatNameIsNamed) {
  begin(busy());
  const std::string file = images + "/green/5.png";
  const std::string before = read_text(file);
  write_text(file, before + "x");
  EXPECT_EQ(resume_failure(), "[train] " + images +
                                  ": green/5.png: expected the photo that the run began with, found another (its file "
                                  "has " +
                                  std::to_string(before.size() + 1) + " bytes instead of " +
                                  std::to_string(before.size()) + ")");
  // As many bytes, and others.
  std::string other = before;
  other.back() = static_cast<char>(other.back() ^ 1);
  write_text(file, other);
  write_anew(file);
  EXPECT_EQ(resume_failure(), "[train] " + images +
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
  write_anew(images + "/green/5.png");
  write_anew(images + "/red/1.png");
  EXPECT_EQ(resume(), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_TRUE(noticed("green/5.png and 1 other photos: written anew since the run began, with the same size"));
  write_text(images + "/red/1.png", "short");
  EXPECT_NE(resume_failure().find("red/1.png: expected the photo that the run began with"), std::string::npos);
}

TEST_F(ResumedRuns, NewImagesDoNotMoveTheOthers) {
  begin(busy());
  write_text(images + "/blue/.hidden.png", testing::blob_png(77));
  write_text(images + "/blue/0 first.png", testing::blob_png(78));
  write_text(images + "/green/55.png", testing::blob_png(79));
  EXPECT_EQ(resume(), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_TRUE(noticed("2 photos in"));
}

TEST_F(ResumedRuns, AnotherClassOfAImageIsNamed) {
  std::string list;
  for (const char* name : {"blue", "green", "red"}) {
    for (int i = 0; i < 8; ++i) list += fmt::format("{}/{}.png,{}\n", name, i, name);
  }
  images += "/list.csv";
  write_text(images, list);
  begin(busy());
  const std::string line = "green/3.png,";
  write_text(images, list.replace(list.find(line + "green"), line.size() + 5, line + "red"));
  EXPECT_EQ(resume_failure(), "[train] " + images +
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
    for (SplitImage& image : *side) image = {image.sample, image.name, 0, {}};
  }
  EXPECT_EQ(resume_run(again, options(Recipe{}), checkpoint), Outcome::kFinished);
  EXPECT_EQ(left_in(path), whole);
  EXPECT_TRUE(noticed("the checkpoint is an older version's"));
  // What it writes itself has them.
  EXPECT_TRUE(read_checkpoint(again.checkpoint()).state.stamped);
  EXPECT_TRUE(read_checkpoint(again.checkpoint()).state.train[0].stamp.there);
}

}  // namespace
}  // namespace gcvit::train
