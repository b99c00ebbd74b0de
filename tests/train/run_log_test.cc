// SPDX-License-Identifier: Apache-2.0
#include "train/run_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cerrno>
#include <filesystem>
#include <random>

#include "tests/testing/faults.h"
#include "tests/weights/test_files.h"

namespace gcvit::train {
namespace {

using weights::error_of;

const std::vector<EpochRow> kRows = {{1, 1.25, 0.5, 1.0 / 3.0, 0.625, 1e-3, 61.5, 9.75},
                                     {2, 0.75, 0.75, std::nullopt, std::nullopt, 2.5e-7, 60, 10}};

TEST(RunLog, HasARowAnEpoch) {
  EXPECT_EQ(serialise_run_log(kRows),
            "epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,images_per_second\n"
            "1,1.25,0.5,0.3333333333333333,0.625,0.001,61.5,9.75\n"
            "2,0.75,0.75,,,2.5e-07,60,10\n");
}

TEST(RunLog, ReadsBackTheSameBits) {
  EXPECT_EQ(parse_run_log(serialise_run_log(kRows), "log.csv"), kRows);
  EXPECT_EQ(parse_run_log(serialise_run_log({}), "log.csv"), std::vector<EpochRow>{});
  std::mt19937_64 random(1);
  std::vector<EpochRow> rows;
  for (std::int32_t epoch = 1; epoch <= 200; ++epoch) {
    const auto any = [&] { return std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 200) - 150); };
    rows.push_back({epoch, any(), any(), any(), any(), any(), any(), any()});
  }
  EXPECT_EQ(parse_run_log(serialise_run_log(rows), "log.csv"), rows);
}

TEST(RunLog, WhatASpreadsheetSavedIsRead) {
  std::string text = serialise_run_log(kRows);
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.replace(at, 1, "\r\n");
  EXPECT_EQ(parse_run_log(text, "log.csv"), kRows);
}

TEST(RunLog, WritingAgainReplacesRows) {
  const weights::TemporaryFolder folder;
  const std::string path = folder / "log.csv";
  write_run_log(path, kRows);
  EXPECT_EQ(read_run_log(path), kRows);
  write_run_log(path, std::span(kRows).first(1));
  EXPECT_EQ(read_run_log(path).size(), 1u);
  EXPECT_EQ(folder.files(), 1u);
  EXPECT_EQ(error_of([&] { read_run_log(folder / "no.csv"); }), "[log] " + (folder / "no.csv") + ": no such file");
}

TEST(StepLog, HoldsWhatStepsAddAndDropsThoseTakenAgain) {
  const weights::TemporaryFolder folder;
  const std::string path = folder / "steps.csv";
  {
    StepLog log(path, 0);
    log.add(1, 1.5, 0.25);
    log.add(2, 1.25, 0.125);
    EXPECT_EQ(weights::read_text(path), "step,loss,lr\n");
    log.flush();
    log.add(3, 0.5, 0.0625);
  }
  EXPECT_EQ(weights::read_text(path), "step,loss,lr\n1,1.5,0.25\n2,1.25,0.125\n3,0.5,0.0625\n");
  {
    StepLog log(path, 2);
    EXPECT_EQ(weights::read_text(path), "step,loss,lr\n1,1.5,0.25\n2,1.25,0.125\n");
    log.add(3, 0.75, 0.5);
  }
  EXPECT_EQ(weights::read_text(path), "step,loss,lr\n1,1.5,0.25\n2,1.25,0.125\n3,0.75,0.5\n");
  StepLog(path, 0).flush();
  EXPECT_EQ(weights::read_text(path), "step,loss,lr\n");
}

TEST(StepLog, KeepsNothingOfAnotherFile) {
  const weights::TemporaryFolder folder;
  const std::string path = folder / "steps.csv";
  for (const std::string before : {"loss\n1,2\n", "step,loss,lr\nx,1,1\n", "step,loss,lr\n1", ""}) {
    weights::write_text(path, before);
    StepLog(path, 5).flush();
    EXPECT_EQ(weights::read_text(path), "step,loss,lr\n") << before;
  }
  EXPECT_NE(error_of([&] { StepLog(folder / "no/steps.csv", 0); }), "");
}

TEST(RunLog, ErrorsNameTheLine) {
  const std::string header = run_log_header() + "\n";
  const auto refusal = [](const std::string& text) { return error_of([&] { parse_run_log(text, "l"); }); };
  EXPECT_EQ(refusal("step,loss\n"), "[log] l: line 1: expected \"" + run_log_header() + "\", found \"step,loss\"");
  EXPECT_EQ(refusal(header + "1,2,3\n"), "[log] l: line 2: expected 8 fields, found 3");
  EXPECT_EQ(refusal(header + "1,1,1,1,1,1,1,1\n2,1,1,1,x,1,1,1\n"),
            "[log] l: line 3: val_accuracy: expected a number, found \"x\"");
  EXPECT_EQ(refusal(header + "1.5,1,1,1,1,1,1,1\n"), "[log] l: line 2: epoch: expected a number, found \"1.5\"");
  EXPECT_EQ(refusal(header + "1,,1,1,1,1,1,1\n"), "[log] l: line 2: loss: expected a number, found \"\"");
  EXPECT_EQ(refusal(header + "2,1,1,1,1,1,1,1\n2,1,1,1,1,1,1,1\n"),
            "[log] l: line 3: expected an epoch after 2, found 2");
}

TEST(RunLog, GarbageIsRefusedOrRead) {
  std::mt19937 random(2);
  const std::string whole = serialise_run_log(kRows);
  int read = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = whole;
    for (std::uint32_t change = 0; change <= random() % 3; ++change) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + random() % 9); break;
        default: text.insert(at, 1, ",\n-e.9\0\r"[random() % 8]); break;
      }
      if (text.empty()) break;
    }
    try {
      // What is read is written and read again as the same, but for NaN.
      const std::vector<EpochRow> rows = parse_run_log(text, "l");
      const std::string again = serialise_run_log(rows);
      EXPECT_EQ(serialise_run_log(parse_run_log(again, "l")), again);
      ++read;
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("[log] l: line "));
    }
  }
  EXPECT_GT(read, 500);
  EXPECT_LT(read, 19000);
}

TEST(RunLog, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const weights::TemporaryFolder folder;
  const std::string log = folder / "log.csv";
  testing::expect_whole_or_not_at_all(log, [&] { write_run_log(log, kRows); });
  std::filesystem::remove(log);
  const std::string steps = folder / "steps.csv";
  testing::expect_whole_or_not_at_all(steps, [&] { StepLog(steps, 0); });
}

TEST(StepLog, RowsThatDoNotFitAreKept) {
  const weights::TemporaryFolder folder;
  const std::string path = folder / "steps.csv";
  StepLog log(path, 0);
  log.add(1, 0.5, 0.25);
  for (int capacity = 0; capacity < 11; ++capacity) {
    testing::Faults faults;
    faults.capacity = capacity;
    faults.error = ENOSPC;
    EXPECT_EQ(error_of([&] { log.flush(); }), "[file] " + path + ": can't be written: No space left on device");
    EXPECT_EQ(weights::read_text(path), "step,loss,lr\n");
  }
  log.add(2, 0.5, 0.25);
  log.flush();
  EXPECT_EQ(weights::read_text(path), "step,loss,lr\n1,0.5,0.25\n2,0.5,0.25\n");
}

}  // namespace
}  // namespace gcvit::train
