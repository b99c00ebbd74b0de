// SPDX-License-Identifier: Apache-2.0
// gcvit train as a user calls it: interrupted, killed, called wrongly.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;

class Train : public Cli {
 protected:
  /// A dozen steps an epoch would need 96 photos; these are 3.
  static constexpr const char* kRun = "train photos -m m.safetensors --batch-size 8 --seed 3 -t 2 ";

  Train() {
    unsigned seed = 0;
    for (const char* name : {"blue", "green", "red"}) {
      std::filesystem::create_directories(folder / ("photos/" + std::string(name)));
      for (int i = 0; i < 8; ++i) {
        weights::write_text(folder / ("photos/" + std::string(name) + "/" + std::to_string(i) + ".png"),
                            testing::blob_png(seed++));
      }
    }
  }

  bool same(const std::string& a, const std::string& b) {
    const std::string one = read_text(folder / a);
    return !one.empty() && one == read_text(folder / b);
  }
};

TEST_F(Train, OneCommandGivesAModelThatClassifies) {
  const Result result = gcvit(std::string(kRun) + "--epochs 2 -o run");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  for (const char* name : {"config.json", "log.csv", "best.safetensors", "last.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / ("run/" + std::string(name)))) << name;
  }
  EXPECT_TRUE(read_text(folder / "run/log.csv").starts_with("epoch,loss,accuracy,val_loss,val_accuracy,lr,"));
  const Result classified = gcvit("classify -m run/best.safetensors photos/red/0.png --json");
  EXPECT_EQ(classified.code, 0) << classified.err;
  const std::string label = json::parse(classified.out)["results"][0]["predictions"][0]["label"];
  EXPECT_TRUE(label == "red" || label == "green" || label == "blue") << label;
  EXPECT_EQ(gcvit("eval -m run/last.safetensors photos --json").code, 0);
  expect_failure(std::string(kRun) + "-o run", "holds a run already: --resume goes on with it");
}

TEST_F(Train, AVariantStartsFromRandomWeights) {
  const Result result = gcvit("train photos --variant xxtiny --image-size 32 --max-steps 1 --batch-size 2 -o run");
  EXPECT_EQ(result.code, 0) << result.err;
  const json config = json::parse(read_text(folder / "run/config.json"));
  EXPECT_EQ(config["recipe"]["recipe"], "scratch");
  EXPECT_EQ(config["weights"], "--variant xxtiny");
  EXPECT_EQ(config["model"]["image_size"], json({32, 32}));
}

TEST_F(Train, KilledAtAnyMomentItGoesOnToTheSameWeights) {
  const std::string flags = "--epochs 8 --checkpoint-minutes 0 --ema-decay 0.9 --drop-path 0.2 --mixup 0.4 ";
  ASSERT_EQ(gcvit(std::string(kRun) + flags + "-o whole").code, 0);
  const Result result = shell("timeout -s KILL 0.4 \"$G\" " + std::string(kRun) + flags +
                              "-o run; for wait in 0.1 0.13 0.17 0.2 0.24 0.29 0.31 0.37; do"
                              " timeout -s KILL $wait \"$G\" train photos -o run --resume --checkpoint-minutes 0; done;"
                              " test -e run/checkpoint/state.safetensors || \"$G\" " +
                              std::string(kRun) + flags + "-o run; \"$G\" train photos -o run --resume");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(same("run/last.safetensors", "whole/last.safetensors"));
  EXPECT_TRUE(same("run/best.safetensors", "whole/best.safetensors"));
}

TEST_F(Train, InterruptedItSaysHowToGoOn) {
  ASSERT_EQ(gcvit(std::string(kRun) + "--epochs 4 -o whole").code, 0);
  for (const std::string signal : {"INT", "TERM"}) {
    const Result result =
        shell("\"$G\" " + std::string(kRun) + "--epochs 4 -o 'run " + signal + "' & while ! test -s 'run " + signal +
              "/log.csv'; do sleep 0.01; done; kill -" + signal + " $!; wait $!");
    EXPECT_EQ(result.code, 130) << result.err;
    const std::string command = "train photos -o 'run " + signal + "' --resume";
    EXPECT_NE(result.err.find("gcvit: stopped; resume with: gcvit " + command + "\n"), std::string::npos) << result.err;
    EXPECT_EQ(gcvit(command).code, 0);
    EXPECT_TRUE(same("run " + signal + "/last.safetensors", "whole/last.safetensors"));
  }
}

TEST_F(Train, AFullDiskKeepsTheOldCheckpoint) {
  ASSERT_EQ(gcvit(std::string(kRun) + "--epochs 2 -o whole").code, 0);
  // Blocks of 512 or 1024 bytes; the model's file fits in 40, its checkpoint doesn't.
  const Result result = shell("trap '' XFSZ; ulimit -f 40; \"$G\" " + std::string(kRun) + "--epochs 2 -o run");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("can't be written: File too large"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "run/last.safetensors"));
}

TEST_F(Train, ResumeTakesTheSameFlagsAndNoOthers) {
  ASSERT_EQ(gcvit(std::string(kRun) + "--epochs 1 -o run").code, 0);
  const Result same = gcvit(std::string(kRun) + "--epochs 1 -o run --resume");
  EXPECT_EQ(same.code, 0) << same.err;
  expect_usage_error("train photos -o run --resume --lr 0.5", "--resume: the run began with --lr 0.0003, found 0.5");
  expect_usage_error("train photos -o run --resume --recipe scratch", "--recipe finetune, found scratch");
  expect_usage_error("train photos -o run --resume --variant xxtiny", "-m m.safetensors, found --variant xxtiny");
  expect_usage_error(
      "train photos -o run --resume --epochs 3",
      "the run began with --epochs 1, and --sched cosine ends its learning rate with them: to train on from "
      "its end, begin another run with -m run/last.safetensors");
  expect_failure("train photos -o nowhere --resume", "nowhere: expected a folder with a run to resume, found none");
}

TEST_F(Train, ResumeLengthensARunOfConstantRate) {
  const std::string constant = std::string(kRun) + "--sched constant --lr 1e-4 ";
  ASSERT_EQ(gcvit(constant + "--epochs 3 -o whole").code, 0);
  ASSERT_EQ(gcvit(constant + "--epochs 1 -o run").code, 0);
  const Result longer = gcvit("train photos -o run --resume --epochs 3 -t 2");
  EXPECT_EQ(longer.code, 0) << longer.err;
  EXPECT_TRUE(same("run/last.safetensors", "whole/last.safetensors"));
  EXPECT_TRUE(same("run/steps.csv", "whole/steps.csv"));
  expect_usage_error("train photos -o run --resume --epochs 2", "and is in epoch 3 already");
  ASSERT_EQ(gcvit(constant + "--max-steps 2 -o short").code, 0);
  expect_usage_error("train photos -o short --resume --epochs 20", "and ends at --max-steps 2");
}

TEST_F(Train, WhatIsCalledWrongly) {
  expect_usage_error("train photos -o run", "expected -m with weights to start from");
  expect_usage_error("train photos -m m.safetensors --variant xxtiny -o run", "--model excludes --variant");
  expect_usage_error("train photos -m m.safetensors -o run --epochs 0", "--epochs: expected at least 1, found 0");
  expect_usage_error("train photos -m m.safetensors -o run --optimizer lion", "expected adam, adamw, muon or sgd");
  expect_usage_error("train photos -m m.safetensors -o run --dtype f16", "expected f32 or bf16");
  expect_usage_error("train photos -m m.safetensors", "--output is required");
  expect_failure("train nowhere -m m.safetensors -o run", "nowhere");
  expect_failure("train photos -m missing.safetensors -o run2", "missing.safetensors");
  EXPECT_FALSE(std::filesystem::exists(folder / "run2/config.json"));
}

TEST_F(Train, AFailedStartLeavesNothingBehind) {
  const std::size_t before = files_left();
  expect_failure("train nowhere -m m.safetensors -o runs/a/run", "nowhere");
  expect_failure("train photos -m missing.safetensors -o runs/a/run", "missing.safetensors");
  expect_failure("train photos --variant enormous -o runs/a/run", "unknown variant");
  const Result soft = gcvit("train photos -m m.safetensors --soft-labels none.jsonl -o runs/a/run");
  EXPECT_EQ(soft.code, 1);
  EXPECT_NE(soft.err.find("none.jsonl: no such file"), std::string::npos) << soft.err;
  expect_failure("train photos -m m.safetensors --val-list none.txt -o runs/a/run", "none.txt");
  weights::write_text(folder / "v.json", "{}");
  EXPECT_EQ(gcvit("train photos --variant v.json -o runs/a/run").code, 1);
  std::filesystem::remove(folder / "v.json");
  EXPECT_EQ(files_left(), before);
  // Where the first checkpoint can't be written either.
  const Result full = shell("trap '' XFSZ; ulimit -f 8; \"$G\" " + std::string(kRun) + "-o runs/a/run");
  EXPECT_EQ(full.code, 1) << full.err;
  EXPECT_EQ(files_left(), before);
}

TEST_F(Train, NothingOfOthersIsTouched) {
  std::filesystem::create_directories(folder / "mine");
  for (const char* name : {"mine/notes.part", "mine/last.safetensors.1.2.part", "mine/log.csv"}) {
    weights::write_text(folder / name, "mine");
  }
  expect_failure(std::string(kRun) + "-o mine", "mine: expected a folder that is empty or missing, found last.safe");
  expect_failure("train nowhere -m m.safetensors -o mine", "mine: expected a folder that is empty or missing");
  expect_failure("train photos -o mine --resume", "mine: expected a folder with a run to resume, found none");
  for (const char* name : {"mine/notes.part", "mine/last.safetensors.1.2.part", "mine/log.csv"}) {
    EXPECT_EQ(read_text(folder / name), "mine") << name;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "mine/checkpoint"));
  // In a run's folder its own half-written files go, and no others.
  ASSERT_EQ(gcvit(std::string(kRun) + "--epochs 1 -o run").code, 0);
  weights::write_text(folder / "run/notes.part", "mine");
  weights::write_text(folder / "run/last.safetensors.1.2.part", "half");
  ASSERT_EQ(gcvit("train photos -o run --resume").code, 0);
  EXPECT_EQ(read_text(folder / "run/notes.part"), "mine");
  EXPECT_FALSE(std::filesystem::exists(folder / "run/last.safetensors.1.2.part"));
}

TEST_F(Train, TheRunIsNoPartOfItsData) {
  std::filesystem::create_directory_symlink("photos", folder / "link");
  for (const char* name : {"photos/run", "photos/red/run", "link/run", "photos/../photos/run", "./photos/a/b"}) {
    expect_failure(std::string(kRun) + "-o " + name, std::string(name) + ": expected a folder outside photos");
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "photos/run"));
  EXPECT_EQ(gcvit(std::string(kRun) + "--epochs 1 -o photos2").code, 0);
}

TEST_F(Train, PathsOfAnyBytesAreResumed) {
  // Of a file system that takes them.
  const std::string odd = "ph\xff";
  std::filesystem::rename(folder / "photos", folder / odd);
  std::filesystem::rename(folder / (odd + "/red/3.png"), folder / (odd + "/red/\xfe.png"));
  weights::write_text(folder / (odd + "/red/\xfd.png"), "no photo");
  std::filesystem::copy(model, folder / "m\xfc.safetensors");
  const std::string flags = "train ph\xff -m m\xfc.safetensors --batch-size 8 --epochs 2 --val-split 0 ";
  ASSERT_EQ(gcvit(flags + "-o whole").code, 0);
  const Result stopped =
      shell("\"$G\" " + flags +
            "-o 'run\xfb' & while ! test -s 'run\xfb/log.csv'; do sleep 0.01; done; kill -INT $!; wait $!");
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  // The same flags again, and none.
  const Result again = gcvit(flags + "-o 'run\xfb' --resume");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(same("run\xfb/last.safetensors", "whole/last.safetensors"));
  EXPECT_EQ(gcvit("train ph\xff -o 'run\xfb' --resume").code, 0);
}

TEST_F(Train, ADivergedLastStepFails) {
  for (const char* more : {"", "--val-split 0 ", "--linear-probe --val-split 0 ", "--ema-decay 0 --grad-accum 2 "}) {
    const Result result =
        gcvit(std::string(kRun) + "--epochs 1 --max-steps 1 --lr 1e38 --sched constant " + more + "-o run");
    EXPECT_EQ(result.code, 1) << more << result.err;
    EXPECT_NE(result.err.find("gcvit: [train] step 1: the "), std::string::npos) << more << result.err;
    EXPECT_NE(result.err.find("Nothing was saved of it\n"), std::string::npos) << more << result.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "run/last.safetensors")) << more;
    EXPECT_FALSE(std::filesystem::exists(folder / "run/best.safetensors")) << more;
    std::filesystem::remove_all(folder / "run");
  }
}

TEST_F(Train, AChangedImageIsNamed) {
  ASSERT_EQ(gcvit(std::string(kRun) + "--epochs 1 -o run").code, 0);
  weights::write_text(folder / "photos/green/5.png", testing::blob_png(99));
  expect_failure("train photos -o run --resume",
                 "photos: green/5.png: expected the photo that the run began with, found another");
}

TEST_F(Train, AListOfImagesThatAreNotThereIsOneMistake) {
  weights::write_text(folder / "list.csv", "gone/1.jpg,a\ngone/2.jpg,a\ngone/3.jpg,b\ngone/4.jpg,b\n");
  expect_failure("train list.csv -m m.safetensors -o run",
                 "list.csv: expected the photos that it names (4), found none of them: there is no gone/1.jpg");
}

TEST_F(Train, AShareThatIsNotUsedIsSaid) {
  weights::write_text(folder / "list.csv",
                      "photos/red/0.png,red,train\nphotos/red/1.png,red,val\nphotos/blue/0.png,blue,train\n");
  const std::string run = "train list.csv -m m.safetensors --epochs 1 --batch-size 2 ";
  EXPECT_NE(gcvit(run + "-o a --val-split 0.5").err.find("--val-split 0.5 isn't used"), std::string::npos);
  EXPECT_EQ(gcvit(run + "-o b").err.find("--val-split"), std::string::npos);
}

TEST_F(Train, ImagesThatCantBeTrainedOn) {
  std::filesystem::create_directories(folder / "one/red");
  std::filesystem::copy(folder / "photos/red/0.png", folder / "one/red/0.png");
  expect_failure("train one -m m.safetensors -o run", "one");
  std::filesystem::create_directories(folder / "photos/yellow");
  const Result result = gcvit(std::string(kRun) + "-o run3");
  EXPECT_EQ(result.code, 1) << result.err;
}

}  // namespace
}  // namespace gcvit
