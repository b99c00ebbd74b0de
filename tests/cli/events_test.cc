// SPDX-License-Identifier: Apache-2.0
// gcvit --events FD: what a program that runs gcvit is told.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;

struct Events : Cli {
  Events() {
    unsigned seed = 0;
    for (const char* name : {"blue", "green", "red"}) {
      std::filesystem::create_directories(folder / ("photos/" + std::string(name)));
      for (int i = 0; i < 8; ++i) {
        weights::write_text(folder / ("photos/" + std::string(name) + "/" + std::to_string(i) + ".png"),
                            testing::blob_png(seed++));
      }
    }
  }

  const std::string train = "train photos -m m.safetensors --batch-size 4 --seed 3 -t 2 ";

  /// Runs the program with events; `told` has them.
  Result with_events(const std::string& arguments) {
    const Result result = gcvit("--events 5 " + arguments + " 5>events");
    read_events();
    return result;
  }
  void read_events() {
    told.clear();
    std::istringstream lines(read_text(folder / "events"));
    for (std::string line; std::getline(lines, line);) told.push_back(json::parse(line));
  }
  std::vector<json> all(const std::string& event) const {
    std::vector<json> found;
    for (const json& one : told) {
      if (one["event"] == event) found.push_back(one);
    }
    return found;
  }
  json only(const std::string& event) const {
    const std::vector<json> found = all(event);
    EXPECT_EQ(found.size(), 1u) << event << " in " << json(told);
    return found.empty() ? json::object() : found.front();
  }

  std::vector<json> told;
};

TEST_F(Events, OfARunHaveItsStartItsStepsAndItsLog) {
  const Result result = with_events(train + "--epochs 2 --val-split 0.25 -o run");
  ASSERT_EQ(result.code, 0) << result.err;
  const json start = only("start");
  EXPECT_EQ(start["folder"], "run");
  EXPECT_EQ(start["train_photos"], 18);
  EXPECT_EQ(start["validation_photos"], 6);
  EXPECT_EQ(start["classes"], 3);
  EXPECT_EQ(start["epochs"], 2);
  EXPECT_EQ(start["steps_per_epoch"], 5);
  EXPECT_EQ(start["steps"], 10);
  EXPECT_EQ(start["steps_done"], 0);

  int last_steps = 0;
  for (const json& step : all("step")) {
    EXPECT_EQ(step["steps"], 5);
    EXPECT_GT(step["loss"], 0.0);
    EXPECT_GT(step["lr"], 0.0);
    last_steps += step["step"] == 5 ? 1 : 0;
  }
  EXPECT_EQ(last_steps, 2);  // they come however short the time between them

  std::istringstream log(read_text(folder / "run/log.csv"));
  std::string header;
  std::getline(log, header);
  const std::vector<json> epochs = all("epoch");
  ASSERT_EQ(epochs.size(), 2u);
  for (const json& epoch : epochs) {
    std::istringstream names(header);
    std::string row;
    std::getline(log, row);
    std::istringstream values(row);
    for (std::string name, value; std::getline(names, name, ',') && std::getline(values, value, ',');) {
      EXPECT_EQ(epoch[name].get<double>(), std::stod(value)) << name;
    }
  }
  EXPECT_EQ(epochs.front()["best"], true);
  const json end = only("end");
  EXPECT_EQ(told.back(), end);
  EXPECT_EQ(end["outcome"], "finished");
  EXPECT_EQ(end["folder"], "run");
}

TEST_F(Events, OfAnEpochWithoutValidationHaveNull) {
  ASSERT_EQ(with_events(train + "--epochs 1 --val-split 0 -o run").code, 0);
  const json epoch = only("epoch");
  EXPECT_TRUE(epoch["val_loss"].is_null());
  EXPECT_TRUE(epoch["val_accuracy"].is_null());
}

TEST_F(Events, OfAResumedRunSayWhereItStands) {
  ASSERT_EQ(gcvit(train + "--epochs 1 --val-split 0.25 --sched constant -o run").code, 0);
  ASSERT_EQ(with_events("train photos -o run --resume --epochs 3").code, 0);
  EXPECT_EQ(only("start")["epochs_done"], 1);
  EXPECT_EQ(only("start")["steps_done"], 5);
  ASSERT_EQ(all("epoch").size(), 2u);
  EXPECT_EQ(all("epoch").front()["epoch"], 2);
}

TEST_F(Events, OfAnInterruptedRunSayThatItCanGoOn) {
  const Result result = gcvit("--events 5 " + train + "--epochs 1000 -o run 5>events &" +
                              " while ! test -s run/log.csv; do sleep 0.01; done; kill -INT $!; wait $!");
  read_events();
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(only("end")["outcome"], "stopped");
  EXPECT_EQ(only("end")["resumable"], true);
  EXPECT_EQ(all("error").size(), 0u);
}

TEST_F(Events, AreNoticesProgressAndErrors) {
  weights::write_text(folder / "photos/red/broken.png", "no photo");
  ASSERT_EQ(with_events("eval photos -m m.safetensors").code, 1);
  bool broken = false;
  for (const json& notice : all("notice")) {
    broken = broken || notice["sentence"].get<std::string>().starts_with("[image] photos/red/broken.png: ");
  }
  EXPECT_TRUE(broken) << json(told);
  ASSERT_GE(all("progress").size(), 1u);
  const json last = all("progress").back();
  EXPECT_EQ(last["what"], "photos");
  EXPECT_EQ(last["done"], 25);
  EXPECT_EQ(last["total"], 25);
  EXPECT_EQ(all("error").size(), 0u);

  Result result = with_events("info -m nowhere.safetensors");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(only("error")["code"], "not_found");
  EXPECT_EQ("gcvit: " + only("error")["sentence"].get<std::string>() + "\n", result.err);
  EXPECT_EQ(with_events("info -m photos/red/broken.png").code, 1);
  EXPECT_EQ(only("error")["code"], "invalid_file");
  EXPECT_EQ(with_events("convert m.safetensors c.safetensors --max-memory 1").code, 1);
  EXPECT_EQ(only("error")["code"], "out_of_budget");
}

TEST_F(Events, OfAWrongCommandLineAreErrorsToo) {
  for (const std::string line : {"", "clasify photos", "train photos", "train photos --epoch 3 -o run",
                                 "train photos -m m.safetensors --variant tiny -o run", "eval photos --dtype f23"}) {
    EXPECT_EQ(with_events(line).code, 2) << line;
    EXPECT_EQ(only("error")["code"], "invalid_argument") << line;
  }
  EXPECT_EQ(only("error")["sentence"].get<std::string>().find("gcvit:"), std::string::npos);
  expect_usage_error("--events x eval photos", "--events: expected the number of a file descriptor, found x");
  expect_usage_error("--events -1 eval photos", "--events: expected the number of a file descriptor, found -1");
  expect_usage_error("--events", "--events");
}

TEST_F(Events, ThatNobodyReadsChangeNothing) {
  ASSERT_EQ(gcvit(train + "--epochs 2 -o whole").code, 0);
  const std::string weights_of_run = read_text(folder / "whole/last.safetensors");
  int run = 0;
  for (const std::string dead : {"5>/dev/full", "5>&-", "5</dev/null"}) {
    const std::string name = "run" + std::to_string(run++);
    const Result result = gcvit("--events=5 " + train + "--epochs 2 -o " + name + " " + dead);
    EXPECT_EQ(result.code, 0) << dead << result.err;
    EXPECT_EQ(read_text(folder / (name + "/last.safetensors")), weights_of_run) << dead;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / name)) {
      if (!entry.is_regular_file()) continue;
      EXPECT_EQ(read_text(entry.path()).find("{\"event\""), std::string::npos) << dead << " " << entry.path();
    }
  }
  // The reader takes one line and goes.
  const Result gone = shell("{ \"$G\" --events 5 " + train + "--epochs 2 -o piped 5>&1; echo $? >code; } | head -n 1");
  EXPECT_EQ(read_text(folder / "code"), "0\n") << gone.err;
  EXPECT_EQ(std::count(gone.out.begin(), gone.out.end(), '\n'), 1);
  EXPECT_EQ(read_text(folder / "piped/last.safetensors"), weights_of_run);
}

TEST_F(Events, AreLinesOfJsonWhateverNamesHold) {
  std::filesystem::rename(folder / "photos/red/0.png", folder / "photos/red/a\n\x1b[31m\xff.png");
  weights::write_text(folder / "photos/red/a\n\x1b[31m\xff.png", "no photo");
  EXPECT_EQ(with_events("eval photos -m m.safetensors").code, 1);
  EXPECT_GE(all("notice").size(), 1u);
  EXPECT_EQ(read_text(folder / "events").find('\x1b'), std::string::npos);
}

TEST_F(Events, StandInHelp) {
  for (const std::string command : {"--help", "man"}) {
    EXPECT_NE(gcvit(command).out.find("events"), std::string::npos) << command;
  }
}

}  // namespace
}  // namespace gcvit
