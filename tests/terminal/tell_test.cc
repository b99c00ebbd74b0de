// SPDX-License-Identifier: Apache-2.0
#include "terminal/tell.h"

#include <gtest/gtest.h>

#include "terminal/status_line.h"
#include "tests/terminal/captured_stream.h"

namespace gcvit {
namespace {

TEST(Tell, WritesAtOnce) {
  testing::CapturedStream stream;
  tell(stream.get(), "one\n");
  tell(stream.get(), "two");
  EXPECT_EQ(stream.text(), "one\ntwo");
}

TEST(Tell, NothingComesOfAFullDevice) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  tell(full, "one\n");
  EXPECT_EQ(std::ferror(full), 0);
  {
    StatusLine line(full, true);
    line.draw("two");
    line.clear();
    line.draw("three");
  }
  std::fclose(full);
}

TEST(Tell, NothingComesOfAStreamThatCantBeWritten) {
  std::FILE* readable = std::fopen("/dev/null", "r");
  ASSERT_NE(readable, nullptr);
  tell(readable, "one\n");
  std::fclose(readable);
}

}  // namespace
}  // namespace gcvit
