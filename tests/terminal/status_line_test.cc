// SPDX-License-Identifier: Apache-2.0
#include "terminal/status_line.h"

#include <gtest/gtest.h>

#include "tests/terminal/captured_stream.h"

namespace gcvit {
namespace {

TEST(StatusLine, IsDrawnInPlaceAndTakenAway) {
  testing::CapturedStream stream;
  {
    StatusLine line(stream.get(), true);
    EXPECT_TRUE(line.due());
    line.draw("one");
    EXPECT_FALSE(line.due());  // a tenth of a second has to pass
    line.draw("two");
    line.clear();
    EXPECT_TRUE(line.due());
    line.clear();
    line.draw("three");
  }
  EXPECT_EQ(stream.text(), "\r\033[Kone\r\033[Ktwo\r\033[K\r\033[Kthree\r\033[K");
}

TEST(StatusLine, EndsBeforeTheLastColumn) {
  testing::CapturedStream stream;
  StatusLine line(stream.get(), true);
  EXPECT_EQ(line.columns(), 80u);
  line.draw(std::string(200, 'x'));
  EXPECT_EQ(stream.text(), "\r\033[K" + std::string(79, 'x'));
}

TEST(StatusLine, ShowsNothingElsewhere) {
  testing::CapturedStream stream;
  StatusLine line(stream.get());
  EXPECT_FALSE(line.terminal());
  EXPECT_FALSE(line.due());
  line.draw("one");
  line.clear();
  EXPECT_EQ(stream.text(), "");
}

}  // namespace
}  // namespace gcvit
