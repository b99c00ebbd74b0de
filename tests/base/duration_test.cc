// SPDX-License-Identifier: Apache-2.0
#include "base/duration.h"

#include <gtest/gtest.h>

namespace gcvit {
namespace {

TEST(Duration, IsReadAsOnAClock) {
  EXPECT_EQ(duration_text(0.0), "0:00");
  EXPECT_EQ(duration_text(40.6), "0:41");
  EXPECT_EQ(duration_text(59.5), "1:00");
  EXPECT_EQ(duration_text(725.0), "12:05");
  EXPECT_EQ(duration_text(3723.0), "1:02:03");
  EXPECT_EQ(duration_text(360000.0), "100:00:00");
}

}  // namespace
}  // namespace gcvit
