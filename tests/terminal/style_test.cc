// SPDX-License-Identifier: Apache-2.0
#include "terminal/style.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/terminal/captured_stream.h"

namespace gcvit {
namespace {

/// The variables as a user may have set them; unset ones are nullptr.
bool wants(std::FILE* stream, const char* no_color, const char* force, const char* term) {
  const auto put = [](const char* name, const char* value) {
    if (value == nullptr) {
      unsetenv(name);
    } else {
      setenv(name, value, 1);
    }
  };
  put("NO_COLOR", no_color);
  put("CLICOLOR_FORCE", force);
  put("TERM", term);
  return wants_colour(stream);
}

TEST(Style, ColourNeedsATerminalUnlessForced) {
  testing::CapturedStream file;
  EXPECT_FALSE(wants(file.get(), nullptr, nullptr, "xterm"));
  EXPECT_TRUE(wants(file.get(), nullptr, "1", "xterm"));
  EXPECT_FALSE(wants(file.get(), nullptr, "0", "xterm"));
  EXPECT_FALSE(wants(file.get(), nullptr, "", "xterm"));
  EXPECT_FALSE(wants(file.get(), "1", "1", "xterm"));
  EXPECT_TRUE(wants(file.get(), "", "1", nullptr));
}

TEST(Style, IsLeftOutWithoutColour) {
  EXPECT_EQ(styled("roses", Style::kGood, false), "roses");
  EXPECT_EQ(styled("roses", Style::kGood, true), "\033[32mroses\033[0m");
  EXPECT_EQ(styled("unsure", Style::kDoubtful, true), "\033[33munsure\033[0m");
}

}  // namespace
}  // namespace gcvit
