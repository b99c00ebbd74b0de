// SPDX-License-Identifier: Apache-2.0
#include "train/progress.h"

#include <gtest/gtest.h>

#include "tests/terminal/captured_stream.h"

namespace gcvit::train {
namespace {

const EpochRow kRow{3, 0.4123456, 0.8754, 0.5, 0.86, 1e-3, 99.4, 9.44};

TEST(Progress, OnATerminalABarMovesAndBecomesALine) {
  testing::CapturedStream stream;
  double now = 100.0;
  Progress progress(stream.get(), true, [&] { return now; });
  progress.begin_epoch(3, 5, 93, 0, 186);
  now += 4.0;
  progress.step(32, 0.51234, 0.75, 1e-3);
  // 92 steps of four seconds are left, 278 of the run, at eight photos a second; in 80 columns there is no room for the rate of
  // learning.
  const std::string bar =
      "Epoch 3/5\n\r\033[K 1/93 - ETA 6:08, run 18:32 - 8.0 img/s - loss: 0.5123 - accuracy: 0.7500";
  EXPECT_EQ(stream.text(), bar);
  progress.step(32, 0.5, 0.8, 1e-3);  // too soon for another drawing
  EXPECT_EQ(stream.text(), bar);
  for (int i = 2; i < 93; ++i) progress.step(32, 0.5, 0.8, 1e-3);
  now += 6.0;  // of validation, for this epoch and the two that follow; the steps took 4 seconds together
  progress.end_epoch(kRow, true);
  EXPECT_EQ(stream.text(), bar +
                               "\r\033[K93/93 - 1:39 - 9.4 img/s - loss: 0.4123 - accuracy: 0.8754 - val_loss: 0.5000 "
                               "- val_accuracy: 0.8600 - lr: 1.0e-03 - best so far - run ETA 0:20\n");
}

TEST(Progress, TheLastEpochHasNoRunBehindIt) {
  testing::CapturedStream stream;
  double now = 100.0;
  Progress progress(stream.get(), true, [&] { return now; });
  progress.begin_epoch(5, 5, 93);
  now += 4.0;
  progress.step(32, 0.51234, 0.75, 2.5e-4);
  progress.end_epoch(kRow, false);
  EXPECT_NE(stream.text().find("- ETA 6:08 - 8.0 img/s - loss: 0.5123 - accuracy: 0.7500 - lr: 2.5e-04\r"),
            std::string::npos)
      << stream.text();
  EXPECT_TRUE(stream.text().ends_with("- val_accuracy: 0.8600 - lr: 1.0e-03\n")) << stream.text();
}

TEST(Progress, ElsewhereAnEpochIsOneLine) {
  testing::CapturedStream stream;
  Progress progress(stream.get());
  progress.begin_epoch(3, 5, 2);
  progress.step(32, 0.5, 0.8, 1e-3);
  progress.step(32, 0.5, 0.8, 1e-3);
  progress.validate(1, 4);
  progress.end_epoch({.epoch = 3, .loss = 0.5, .accuracy = 0.8, .lr = 1e-4, .seconds = 3723, .images_per_second = 9.4},
                     false);
  EXPECT_EQ(stream.text(), "Epoch 3/5 - 2/2 - 1:02:03 - 9.4 img/s - loss: 0.5000 - accuracy: 0.8000 - lr: 1.0e-04\n");
}

TEST(Progress, AResumedEpochCountsItsOwnStepsForTheTimeLeft) {
  testing::CapturedStream stream;
  double now = 0.0;
  Progress progress(stream.get(), true, [&] { return now; });
  progress.begin_epoch(1, 2, 100, 80, 100);
  now = 10.0;
  progress.step(20, 1.0, 0.5, 1e-3);
  EXPECT_NE(stream.text().find(" 81/100 - "), std::string::npos) << stream.text();
  EXPECT_NE(stream.text().find("ETA 3:10, run 19:50 - 2.0 img/s"), std::string::npos) << stream.text();
}

TEST(Progress, OverAFewMillisecondsThereIsNoRate) {
  testing::CapturedStream stream;
  double now = 0.0;
  Progress progress(stream.get(), true, [&] { return now; });
  progress.begin_epoch(1, 1, 2);
  now = 0.001;
  progress.step(32, 1.0, 0.5, 1e-3);
  progress.end_epoch(
      {.epoch = 1, .loss = 0.5, .accuracy = 0.8, .lr = 1e-4, .seconds = 0.002, .images_per_second = 698'920.0}, false);
  EXPECT_EQ(stream.text().find("img/s"), std::string::npos) << stream.text();
}

TEST(Progress, HashesHaveTheirRateAndLeaveNothing) {
  testing::CapturedStream stream;
  double now = 50.0;
  Progress progress(stream.get(), true, [&] { return now; });
  progress.hashes({.done = 0, .total = 100, .bytes = 0});
  now += 5.0;
  progress.hashes({.done = 20, .total = 100, .bytes = 40'000'000});
  EXPECT_NE(stream.text().find(" 20/100"), std::string::npos) << stream.text();
  EXPECT_NE(stream.text().find(" - ETA 0:20 - 4 photos/s - 8.0 MB/s - "), std::string::npos) << stream.text();
  progress.hashes({.done = 100, .total = 100, .bytes = 200'000'000});
  EXPECT_TRUE(stream.text().ends_with("\r\033[K")) << stream.text();
}

TEST(Progress, FeaturesHaveTheirRateAndTheirTimeLeft) {
  testing::CapturedStream stream;
  double now = 50.0;
  Progress progress(stream.get(), true, [&] { return now; });
  progress.begin_features(100);
  now += 5.0;
  progress.features(10);
  EXPECT_TRUE(stream.text().ends_with(" 10/100 [===>..........................] - ETA 0:45 - 2.0 photos/s - features"))
      << stream.text();
  now += 45.0;
  EXPECT_EQ(progress.end_features(100), 50.0);
  EXPECT_TRUE(stream.text().ends_with("Features of 100 photos - 0:50 - 2.0 photos/s\n")) << stream.text();
  // Epochs on features say nothing about photos a second.
  progress.begin_epoch(1, 1, 2);
  now += 1.0;
  progress.step(32, 0.5, 0.8, 1e-3);
  EXPECT_NE(stream.text().find("1/2 [=======>......] - ETA 0:01 - loss: 0.5000"), std::string::npos) << stream.text();
  progress.end_epoch({.epoch = 1, .loss = 0.5, .accuracy = 0.8, .seconds = 1, .images_per_second = 64.0}, false);
  EXPECT_TRUE(stream.text().ends_with("2 - 0:01 - loss: 0.5000 - accuracy: 0.8000 - lr: 0.0e+00\n")) << stream.text();
  EXPECT_EQ(stream.text().find("/s - loss"), std::string::npos);
}

TEST(Progress, ValidationHasItsBarToo) {
  testing::CapturedStream stream;
  Progress progress(stream.get(), true, [] { return 0.0; });
  progress.begin_epoch(1, 1, 1);
  progress.validate(30, 60);
  EXPECT_EQ(stream.text(), "Epoch 1/1\n\r\033[K30/60 [===============>..............] - validating");
  progress.clear();
  progress.validate(60, 60);
  EXPECT_TRUE(stream.text().ends_with("60/60 [==============================] - validating")) << stream.text();
}

}  // namespace
}  // namespace gcvit::train
