// SPDX-License-Identifier: Apache-2.0
// Standard streams that are closed, full, or whose other end has gone: results fail, notices and progress don't.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "tests/cli/program.h"
#include "tests/cli/terminal.h"

namespace gcvit {
namespace {

namespace fs = std::filesystem;
using weights::read_text;

struct Streams : Cli {
  Streams() {
    unsigned seed = 0;
    for (const char* name : {"blue", "green", "red"}) {
      fs::create_directories(folder / ("photos/" + std::string(name)));
      for (int i = 0; i < 8; ++i) {
        weights::write_text(folder / ("photos/" + std::string(name) + "/" + std::to_string(i) + ".png"),
                            testing::blob_png(seed++));
      }
    }
    weights::write_text(folder / "broken.png", "no photo");
  }

  const std::string train = "train photos -m m.safetensors --batch-size 8 --seed 3 -t 2 ";

  std::string in_folder(const std::string& arguments) {
    return "cd " + quoted(folder / "") + "; exec " + quoted(GCVIT_PROGRAM) + " " + arguments;
  }
  bool trained(const std::string& run) { return fs::exists(folder / (run + "/report.html")); }
};

/// Every way in which nobody can be told anything, as a shell's redirection behind a command.
constexpr const char* kDead[] = {"2>/dev/full", "2>&-", "2>/dev/null </dev/null 2<&0", "2>&1 >kept | true"};

TEST_F(Streams, ADeadStandardErrorChangesNoResult) {
  const std::string commands[] = {
      "classify photos/red broken.png -m m.safetensors",                 // 1: a photo is reported
      "eval photos -m m.safetensors",                                    // a notice about the classes
      "info -m m.safetensors --num-classes 3",                           //
      "info -m missing.safetensors",                                     // 1
      "classify",                                                        // 2
      "classify --nonsense photos -m m.safetensors",                     // 2
      "convert m.safetensors c.pth --layout timm",                       //
      "export -m m.safetensors e.onnx",                                  //
      "preprocess photos/red -m m.safetensors -o p.npy",                 //
      "pull gcvit_huge",                                                 // 2
      "bench -m m.safetensors --batch 1 -t 1 --seconds 0 --json >/dev/null"  //
  };
  for (const std::string& command : commands) {
    const Result well = gcvit(command);
    for (const std::string dead : kDead) {
      const bool piped = dead.find('|') != std::string::npos;
      const Result result =
          piped ? shell("{ sleep 0.1; \"$G\" " + command + "; echo $? >code; } 2>&1 >kept | true; exit $(cat code)")
                : gcvit(command + " " + dead);
      EXPECT_EQ(result.code, well.code) << command << " " << dead << "\n" << well.err;
      EXPECT_EQ(piped ? read_text(folder / "kept") : result.out, well.out) << command << " " << dead;
    }
  }
}

TEST_F(Streams, ATrainingRunGoesOnWithoutStandardError) {
  ASSERT_EQ(gcvit(train + "--epochs 2 -o whole").code, 0);
  const std::string best = read_text(folder / "whole/last.safetensors");
  int run = 0;
  for (const std::string dead : {"2>/dev/full", "2>&-", "<&- >&- 2>&-"}) {
    const std::string name = "run" + std::to_string(run++);
    EXPECT_EQ(gcvit(train + "--epochs 2 -o " + name + " " + dead).code, 0) << dead;
    EXPECT_EQ(read_text(folder / (name + "/last.safetensors")), best) << dead;
    EXPECT_TRUE(trained(name)) << dead;
    for (const auto& entry : fs::recursive_directory_iterator(folder / name)) {
      if (!entry.is_regular_file()) continue;
      EXPECT_EQ(read_text(entry.path()).find("gcvit: "), std::string::npos) << dead << " " << entry.path();
    }
  }
  // The reader takes the first line and goes.
  EXPECT_EQ(
      shell("{ \"$G\" " + train + "--epochs 2 -o piped; echo $? >code; } 2>&1 | head -n 1; exit $(cat code)").code, 0);
  EXPECT_EQ(read_text(folder / "piped/last.safetensors"), best);
}

TEST_F(Streams, AResultThatCantBeWrittenIsAnError) {
  for (const std::string command : {"info -m m.safetensors", "info -m m.safetensors --json", "--help", "train --help",
                                    "--version", "pull --list", "classify photos/red -m m.safetensors --jsonl"}) {
    for (const std::string dead : {">/dev/full", ">&-", "</dev/null >&0"}) {
      const Result result = gcvit(command + " " + dead);
      EXPECT_EQ(result.code, 1) << command << " " << dead;
      EXPECT_TRUE(result.err.starts_with("gcvit: [output] standard output: can't be written: ")) << result.err;
    }
    EXPECT_EQ(shell("{ sleep 0.1; \"$G\" " + command + "; echo $? >code; } | true; exit $(cat code)").code, 0)
        << command;
  }
}

TEST_F(Streams, AClosedStandardInputIsNoImage) {
  expect_failure("classify - -m m.safetensors <&-", "[image] standard input: can't be read");
}

TEST_F(Streams, AFileThatMayNotGrowIsAnErrorNotASignal) {
  const Result result = shell("ulimit -f 1; \"$G\" convert m.safetensors c.safetensors --num-classes 3");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("can't be written: File too large"), std::string::npos) << result.err;
}

TEST_F(Streams, ARunSurvivesItsTerminalUnderNohup) {
  testing::Terminal terminal;
  if (!terminal.missing().empty()) GTEST_SKIP() << terminal.missing();
  terminal.start("trap '' HUP; " + in_folder(train + "--epochs 4 -o run"));
  while (!fs::exists(folder / "run/log.csv")) terminal.read(10);
  terminal.hang_up();
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(trained("run"));
}

TEST_F(Streams, ATerminalThatHangsUpStopsARunWithACheckpoint) {
  testing::Terminal terminal;
  if (!terminal.missing().empty()) GTEST_SKIP() << terminal.missing();
  terminal.start(in_folder(train + "--epochs 10000 -o run"));
  while (!fs::exists(folder / "run/log.csv")) terminal.read(10);
  terminal.hang_up();
  for (int i = 0; i < 3; ++i) terminal.send(SIGHUP);  // a shell says it again
  EXPECT_EQ(terminal.wait(), 130);
  EXPECT_TRUE(fs::exists(folder / "run/checkpoint/state.safetensors"));
  EXPECT_FALSE(trained("run"));
}

TEST_F(Streams, ATerminalThatStopsTheBackgroundDoesntStopUs) {
  testing::Terminal terminal;
  if (!terminal.missing().empty()) GTEST_SKIP() << terminal.missing();
  terminal.start_behind(in_folder("classify photos/red broken.png -m m.safetensors"));
  const std::string text = terminal.read_all();
  EXPECT_EQ(terminal.wait(), 1) << text;
  EXPECT_NE(text.find("gcvit: [image] broken.png: "), std::string::npos) << text;
  EXPECT_NE(text.find("photos/red/7.png: "), std::string::npos) << text;
}

}  // namespace
}  // namespace gcvit
