// SPDX-License-Identifier: Apache-2.0
#include "formats/in_quotes.h"

#include <gtest/gtest.h>

#include <string>

namespace gcvit::formats {
namespace {

TEST(InQuotes, WhatHasAMeaningThereIsEscaped) {
  EXPECT_EQ(in_quotes("a.b"), "\"a.b\"");
  EXPECT_EQ(in_quotes("a\"b\\c\x1b[2J\u202e\xff"), "\"a\\x22b\\x5cc\\x1b[2J\\u202e\\xff\"");
}

TEST(InQuotes, TheMiddleOfALongOneIsLeftOut) {
  const std::string letters(200, 'a');
  EXPECT_EQ(in_quotes(letters), '"' + letters.substr(0, 48) + "..." + letters.substr(0, 48) + '"');
  // Characters of three bytes: none is cut, before or behind the gap.
  std::string flowers = "x";
  for (int i = 0; i < 60; ++i) flowers += "花";
  std::string kept;
  for (int i = 0; i < 15; ++i) kept += "花";
  EXPECT_EQ(in_quotes(flowers), "\"x" + kept + "..." + kept + "花\"");
}

}  // namespace
}  // namespace gcvit::formats
