// SPDX-License-Identifier: Apache-2.0
#include "base/status_line.h"

#include <gtest/gtest.h>

#include "tests/base/captured_stream.h"

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

TEST(StatusLine, DurationsAreReadAsOnAClock) {
  EXPECT_EQ(duration_text(0.0), "0:00");
  EXPECT_EQ(duration_text(40.6), "0:41");
  EXPECT_EQ(duration_text(59.5), "1:00");
  EXPECT_EQ(duration_text(725.0), "12:05");
  EXPECT_EQ(duration_text(3723.0), "1:02:03");
  EXPECT_EQ(duration_text(360000.0), "100:00:00");
}

}  // namespace
}  // namespace gcvit
