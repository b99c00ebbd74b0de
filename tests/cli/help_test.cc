// SPDX-License-Identifier: Apache-2.0
// Help, its width, what is suggested for unknown words, and the names that commands and flags have had.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/cli/terminal.h"

namespace gcvit {
namespace {

using nlohmann::json;

const std::vector<std::string> kCommands = {
    "classify", "train",    "eval",   "explain", "features", "similar", "info",    "forward",    "preprocess", "bench",
    "convert",  "quantize", "export", "serve",   "pull",     "help",    "version", "completion", "man"};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The text with every run of spaces and line ends as one space.
std::string joined(const std::string& text) {
  std::istringstream stream(text);
  std::string result;
  for (std::string word; stream >> word;) result += word + " ";
  return result;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Help : Cli {
  std::string help(const std::string& command, int columns = 100) {
    const Result result = shell("COLUMNS=" + std::to_string(columns) + " \"$G\" help " + command);
    EXPECT_EQ(result.code, 0) << command << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }
};

TEST_F(Help, ListsEveryCommand) {
  const std::string text = help("");
  for (const std::string& command : kCommands) EXPECT_TRUE(has(text, "\n  " + command + " ")) << command;
  EXPECT_EQ(gcvit("--help").out, gcvit("help").out);
  EXPECT_EQ(gcvit("version").out, gcvit("--version").out);
  const Result none = gcvit("");
  EXPECT_EQ(none.code, 2);
  EXPECT_TRUE(has(none.err, "expected a command, found none")) << none.err;
}

TEST_F(Help, IsTheSameByFlagAndCommandAndHasAnExample) {
  for (const std::string& command : kCommands) {
    const std::string text = gcvit("help " + command).out;
    EXPECT_EQ(gcvit(command + " --help").out, text) << command;
    EXPECT_EQ(gcvit(command + " -h").out, text) << command;
    EXPECT_TRUE(text.starts_with("gcvit " + command + ": ")) << text;
    EXPECT_TRUE(has(text, "Usage: gcvit " + command)) << text;
    if (command != "version") {
      EXPECT_TRUE(has(text, "\n  gcvit " + command + " ")) << "an example in\n" << text;
    }
  }
}

TEST_F(Help, SaysDefaultsUnitsAndRanges) {
  const std::string classify = joined(help("classify"));
  for (const char* part :
       {"--batch N Number of photos in a batch (default: 8; 1 to 1024)", "(default: the bundled flower model)",
        "--dtype auto|f32|bf16|int8", "(default: auto)", "-t, --threads N", "IMAGE... Photos (JPEG"}) {
    EXPECT_TRUE(has(classify, part)) << part << " in\n" << classify;
  }
  const std::string train = joined(help("train"));
  for (const char* part :
       {"Usage: gcvit train [OPTIONS] DATA -o RUN_DIR ",
        "--epochs N Passes over the training photos (default: tutorial 5, finetune 10, scratch 100; at least 1)",
        "--batch N Number of photos in a batch (default: 32; 1 to 65536)", "--optimizer adam|adamw|muon|sgd",
        "(default: tutorial adam, finetune adamw, scratch adamw)",
        "--lr N Learning rate (default: tutorial 0.001, finetune 0.0003, scratch 0.001; at least 0)", "--layer-decay N",
        "over 0, up to 1)", "--checkpoint-minutes MINUTES", "(default: 5; at least 0)",
        "Other defaults are then --epochs 100, --lr 0.003", "(default: tutorial on, finetune off, scratch off)",
        "Loss and augmentation:"}) {
    EXPECT_TRUE(has(train, part)) << part << " in\n" << train;
  }
  EXPECT_TRUE(
      has(joined(help("bench")),
          "--seconds SECONDS Seconds to measure each row for; a row has at least five runs (default: 3; 0 to 3600)"));
  EXPECT_TRUE(has(joined(help("info")), "xxtiny, xtiny, tiny, "));
  for (const std::string& command : kCommands) {
    EXPECT_FALSE(has(help(command), "--batch-size")) << "an alias in the help of " << command;
  }
}

TEST_F(Help, IsWrappedToTheWidthAsked) {
  const auto widest = [](const std::string& text) {
    std::size_t width = 0;
    for (const std::string& line : lines_of(text)) {
      const bool example = line.starts_with("  gcvit ");
      const bool heading = line.starts_with("  ") && line.find(' ', 3) == std::string::npos;
      const std::string words = line.substr(std::min(line.find_first_not_of(' '), line.size()));
      const bool cant_be_cut = example || heading || words.starts_with("-") || words.find(' ') == std::string::npos;
      if (!cant_be_cut) width = std::max(width, line.size());
    }
    return width;
  };
  for (const std::string& command : kCommands) {
    const std::string narrow = help(command, 50);
    const std::string wide = help(command, 300);
    EXPECT_LE(widest(narrow), 50u) << narrow;
    EXPECT_LE(widest(wide), 100u) << wide;
    EXPECT_EQ(joined(narrow), joined(wide));
  }
  EXPECT_GT(widest(help("train", 100)), 90u);
  EXPECT_EQ(shell("env -u COLUMNS \"$G\" help train").out, help("train", 80));
  EXPECT_EQ(help("train", 0), help("train", 80));
  EXPECT_EQ(help("train", 3), help("train", 40));
}

TEST_F(Help, IsAsWideAsTheTerminal) {
  testing::Terminal terminal;
  if (!terminal.missing().empty()) GTEST_SKIP() << terminal.missing();
  terminal.start("stty cols 61 || exit; unset COLUMNS; exec " + quoted(GCVIT_PROGRAM) + " help classify");
  std::string text = terminal.read_all();
  EXPECT_EQ(terminal.wait(), 0) << text;
  std::erase(text, '\r');
  EXPECT_EQ(text, help("classify", 61));
  EXPECT_NE(text, help("classify", 80));
}

TEST_F(Help, EveryExampleIsAValidCommandLine) {
  std::filesystem::create_directory(folder / "empty");
  for (const std::string& command : kCommands) {
    for (const std::string& line : lines_of(help(command))) {
      if (!line.starts_with("  gcvit " + command + " ") || has(line, "|") || has(line, ">")) continue;
      const std::string arguments = line.substr(8);
      const Result result =
          shell("export GCVIT_MODELS=empty GCVIT_CACHE=empty GCVIT_HUB_URL=none; \"$G\" " + arguments);
      EXPECT_NE(result.code, 2) << line << '\n' << result.err;
    }
  }
}

TEST_F(Help, AnUnknownWordSuggestsTheNearest) {
  expect_usage_error("clasify x.jpg", "there is no command clasify; the nearest is classify\n");
  expect_usage_error("trian photos", "there is no command trian; the nearest is train\n");
  expect_usage_error("benchmark", "the nearest is bench\n");
  expect_usage_error("help evla", "there is no command evla; the nearest is eval\n");
  expect_usage_error("man conver", "the nearest is convert\n");
  expect_usage_error("zzzzzz", "there is no command zzzzzz\n");
  expect_usage_error("classify a.jpg --thresold 0.5", "classify has no flag --thresold; the nearest is --threshold\n");
  expect_usage_error("classify a.jpg --thresold=0.5", "no flag --thresold; the nearest is --threshold\n");
  expect_usage_error("train --ouput run", "train has no flag --ouput; the nearest is --output\n");
  expect_usage_error("train d -o run --batchsize 3", "the nearest is --batch\n");
  expect_usage_error("info --quantum", "info has no flag --quantum\n");
  expect_usage_error("info -q", "info has no flag -q\n");
}

TEST_F(Help, OldNamesStay) {
  image(1);
  EXPECT_EQ(gcvit("classify -m m.safetensors photo1.png --batch-size 2").out,
            gcvit("classify -m m.safetensors photo1.png --batch 2").out);
  expect_usage_error("train d -o run --batch-size many", "--batch");
  const std::string info = gcvit("info m.safetensors --json").out;
  EXPECT_EQ(json::parse(info)["config"]["classes"], 7);
  EXPECT_EQ(gcvit("info -m m.safetensors --json").out, info);
  EXPECT_EQ(gcvit("info --model m.safetensors --json").out, info);
  expect_usage_error("info m.safetensors -m m.safetensors", "excludes");
  expect_usage_error("info m.safetensors --variant xxtiny", "excludes");
}

TEST_F(Help, AUrlIsCalledOne) {
  expect_failure("info https://example.org/m.safetensors",
                 "https://example.org/m.safetensors: expected a file, found a URL");
  expect_failure("classify -m https://example.org/m.h5 " + image(1), "found a URL: download it first");
  expect_failure("classify -m m.safetensors https://example.org/a.jpg", "found a URL");
  expect_failure("preprocess -m m.safetensors http://example.org/a.jpg -o x.npy", "found a URL");
  expect_failure("convert https://example.org/m.pth x.safetensors", "found a URL");
  expect_failure("classify -m m.safetensors @https://example.org/list", "found a URL");
  expect_failure("eval -m m.safetensors https://example.org/photos", "found a URL");
}

}  // namespace
}  // namespace gcvit
