// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/terminal/captured_stream.h"

namespace gcvit::cli {
namespace {

TEST(Bar, CountsBytesOfADownload) {
  testing::CapturedStream stream;
  {
    Progress progress(stream.get(), 4'000'000, Progress::Unit::kBytes);
    progress.set(1'000'000);
  }
  const std::string text = stream.text();
  EXPECT_TRUE(text.starts_with("\r\033[K1.0/4.0 MB [=======>......................] - ETA 0:00")) << text;
  EXPECT_TRUE(text.ends_with("\r\033[K")) << text;
}

TEST(Bar, CountsImages) {
  testing::CapturedStream stream;
  Progress progress(stream.get(), 3, Progress::Unit::kImages);
  progress.step();
  EXPECT_TRUE(stream.text().starts_with("\r\033[K1/3 [==========>...................] - ETA 0:00")) << stream.text();
}

TEST(Csv, QuotesWhatAFieldCantHoldBare) {
  EXPECT_EQ(csv_row(std::vector<std::string>{"a.jpg", "", "0.5"}), "a.jpg,,0.5\n");
  EXPECT_EQ(csv_row(std::vector<std::string>{"a,b", "say \"x\"", "two\nlines", "\r"}),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\"\r\"\n");
}

}  // namespace
}  // namespace gcvit::cli
