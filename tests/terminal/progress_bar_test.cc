// SPDX-License-Identifier: Apache-2.0
#include "terminal/progress_bar.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/terminal/captured_stream.h"

namespace gcvit {
namespace {

TEST(ProgressBar, ShowsCountsTheBarAndFigures) {
  testing::CapturedStream stream;
  ProgressBar bar(stream.get(), true, [] { return 0.0; });
  bar.draw(30, 60, " - validating");
  EXPECT_EQ(stream.text(), "\r\033[K30/60 [===============>..............] - validating");
  EXPECT_FALSE(bar.due());
  bar.clear();
  EXPECT_TRUE(bar.due());
  bar.draw(60, 60, "1.0/1.0 MB", "");
  EXPECT_TRUE(stream.text().ends_with("\r\033[K1.0/1.0 MB [==============================]")) << stream.text();
}

TEST(ProgressBar, IsShortenedAndThenLeftOutToFitTheTerminal) {
  testing::CapturedStream stream;
  ProgressBar bar(stream.get(), true, [] { return 0.0; });
  bar.draw(1, 2, std::string(62, 'x'));  // of 80 columns
  EXPECT_TRUE(stream.text().ends_with("1/2 [=====>.....]" + std::string(62, 'x'))) << stream.text();
  bar.draw(1, 2, std::string(69, 'x'));
  EXPECT_TRUE(stream.text().ends_with("1/2" + std::string(69, 'x'))) << stream.text();
}

TEST(ProgressBar, TellsTheTimeLeftByWhatItHasDoneItself) {
  testing::CapturedStream stream;
  double now = 100.0;
  ProgressBar bar(stream.get(), true, [&] { return now; });
  bar.start(100, 80);
  now = 110.0;
  EXPECT_EQ(bar.elapsed(), 10.0);
  EXPECT_EQ(bar.eta(81), "ETA 3:10");
  EXPECT_EQ(bar.eta(90), "ETA 0:10");
  bar.start(100);
  now = 111.0;
  EXPECT_EQ(bar.eta(10), "ETA 0:09");
}

TEST(ProgressBar, LeavesOutTheLeastImportantFiguresWhole) {
  testing::CapturedStream stream;
  ProgressBar bar(stream.get(), true, [] { return 0.0; });
  const std::vector<std::string> figures = {std::string(40, 'x'), std::string(30, 'y'), std::string(5, 'z')};
  bar.draw(1, 2, figures);  // 3 + 43 + 33 of 80 columns
  EXPECT_TRUE(stream.text().ends_with("K1/2 - " + std::string(40, 'x') + " - " + std::string(30, 'y')))
      << stream.text();
  bar.draw(1, 2, std::vector<std::string>{"one", "two"});
  EXPECT_TRUE(stream.text().ends_with("K1/2 [===============>..............] - one - two")) << stream.text();
}

TEST(ProgressBar, HasARateOnceItMeansSomething) {
  testing::CapturedStream stream;
  double now = 0.0;
  ProgressBar bar(stream.get(), true, [&] { return now; });
  bar.start(100);
  now = 0.01;
  EXPECT_EQ(bar.rate(50, "photos/s"), "");
  now = 2.0;
  EXPECT_EQ(bar.rate(50, "photos/s"), " - 25.0 photos/s");
  EXPECT_EQ(bar.rate(50, "photos/s", 0), " - 25 photos/s");
}

TEST(ProgressBar, DrawsNothingElsewhere) {
  testing::CapturedStream stream;
  ProgressBar bar(stream.get());
  EXPECT_FALSE(bar.terminal());
  EXPECT_FALSE(bar.due());
  bar.draw(1, 2, "");
  EXPECT_EQ(stream.text(), "");
}

}  // namespace
}  // namespace gcvit
