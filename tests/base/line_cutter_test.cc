// SPDX-License-Identifier: Apache-2.0
#include "base/line_cutter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/error_of.h"

namespace gcvit {
namespace {

std::vector<std::string> lines_of(std::string_view text, std::size_t piece, std::size_t longest = 100) {
  std::vector<std::string> lines;
  LineCutter cutter("x", "f", longest, [&](const std::string& line, std::size_t number) {
    EXPECT_EQ(number, lines.size() + 1);
    lines.push_back(line);
  });
  for (std::size_t i = 0; i < text.size(); i += piece) cutter.add(text.substr(i, piece));
  cutter.finish();
  return lines;
}

TEST(LineCutter, CutsThePiecesAsItCutsTheWhole) {
  const std::string_view text =
      "\xef\xbb\xbf"
      "one\r\n\n\xef\xbb\xbftwo\nthree";
  const std::vector<std::string> expected = {"one", "", "\xef\xbb\xbftwo", "three"};
  for (std::size_t piece = 1; piece <= text.size(); ++piece) EXPECT_EQ(lines_of(text, piece), expected) << piece;
  EXPECT_EQ(lines_of("", 1), std::vector<std::string>());
  EXPECT_EQ(lines_of("one\n", 2), std::vector<std::string>{"one"});
}

TEST(LineCutter, RefusesZeroBytesAndLongLines) {
  using gcvit::testing::error_of;
  const std::string zero("a\nb\0c", 5);
  for (std::size_t piece = 1; piece <= 5; ++piece) {
    EXPECT_EQ(error_of([&] { lines_of(zero, piece); }), "[x] f: line 2: has a zero byte in it");
  }
  EXPECT_EQ(lines_of("abcd\nabcd", 3, 4).size(), 2u);
  EXPECT_EQ(error_of([] { lines_of("abcd\nabcde", 3, 4); }), "[x] f: line 2: expected at most 4 bytes, found more");
}

}  // namespace
}  // namespace gcvit
