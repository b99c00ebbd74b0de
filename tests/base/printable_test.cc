// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "tests/testing/error_of.h"

namespace gcvit {
namespace {

using testing::error_of;

TEST(Printable, WhatCanBeSeenStaysAsItIs) {
  for (const std::string_view text : {"", "roses/12.jpg", "a \"quoted\\path\"", "tulipán", "花", "🌷", "é",
                                      "مي‌خواهم", "\ufffd", "👩‍🔬", "❤️"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, ControlCharactersBecomeEscapes) {
  EXPECT_EQ(printable(std::string_view("a\0b\x1b[2J\x07\x7f\r\t\n", 12)), "a\\x00b\\x1b[2J\\x07\\x7f\\x0d\\x09\\x0a");
  EXPECT_EQ(printable("\u0080\u0085\u009b31m\u009f\u00a1"), "\\u0080\\u0085\\u009b31m\\u009f¡");
  EXPECT_EQ(printable_lines("a\r\nb\x1b\n"), "a\\x0d\nb\\x1b\n");
}

TEST(Printable, WhatTurnsOrHidesItsNeighboursBecomesEscapes) {
  EXPECT_EQ(printable("\u202egpj.esor\u202c"), "\\u202egpj.esor\\u202c");
  EXPECT_EQ(printable("\u202a\u202b\u202d\u2066\u2067\u2068\u2069\u200e\u200f\u061c"),
            "\\u202a\\u202b\\u202d\\u2066\\u2067\\u2068\\u2069\\u200e\\u200f\\u061c");
  EXPECT_EQ(printable("\u2028\u2029"), "\\u2028\\u2029");
  EXPECT_EQ(printable("\u200b\u2060\ufeff\u00ad\u180e\ufff9\uffff"),
            "\\u200b\\u2060\\ufeff\\u00ad\\u180e\\ufff9\\uffff");
  EXPECT_EQ(printable("\U000e0041"), "\\U000e0041");
}

TEST(Printable, BytesThatAreNoUtf8BecomeEscapes) {
  EXPECT_EQ(printable("caf\xe9.jpg"), "caf\\xe9.jpg");
  EXPECT_EQ(printable("\x9b"), "\\x9b");                                  // C1 of an 8-bit terminal
  EXPECT_EQ(printable("\xc0\xbc"), "\\xc0\\xbc");                          // an overlong "<"
  EXPECT_EQ(printable("\xc1\x9b\xe0\x80\x9b"), "\\xc1\\x9b\\xe0\\x80\\x9b");  // overlong escapes
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");                  // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");          // beyond U+10FFFF
  EXPECT_EQ(printable("\xe8\x8a"), "\\xe8\\x8a");                          // cut off
  EXPECT_EQ(printable("\xe8\x1b"), "\\xe8\\x1b");                          // what follows is not swallowed
  EXPECT_EQ(printable("\xe8x\xff"), "\\xe8x\\xff");
}

/// Pieces of which texts are made that have all kinds of characters in them.
std::string any_text(std::mt19937& random) {
  static const std::string_view kPieces[] = {"a",          "\\", "\"",     "\x1b",   "\n",     "\x7f",
                                             "\u0085",     "é",  "\u202e", "\u2028", "\u2067", "\ufeff",
                                             "\U000e0041", "🌷", "\xe8",   "\x80"};
  std::string text;
  for (auto i = random() % 12; i > 0; --i) text += kPieces[random() % std::size(kPieces)];
  return text;
}

TEST(Printable, TwiceIsOnce) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const std::string once = printable(any_text(random));
    EXPECT_EQ(printable(once), once);
    for (const std::string_view hidden : {"\x1b", "\n", "\x7f", "\u0085", "\u202e", "\u2028", "\u2067", "\ufeff"}) {
      EXPECT_EQ(once.find(hidden), std::string::npos) << once;
    }
  }
}

TEST(Printable, JsonKeepsItsMeaning) {
  EXPECT_EQ(printable_json("{\"a\":\"é\u202e\x7f\u0085\"}"), "{\"a\":\"é\\u202e\\u007f\\u0085\"}");
  EXPECT_EQ(printable_json("\"\U000e0041\""), "\"\\udb40\\udc41\"");
}

TEST(Printable, ErrorsAre) {
  EXPECT_EQ(error_of([] { fail("[tar] {}: no label", "a\x1b]0;b\a\n\u202e\xff"); }),
            "[tar] a\\x1b]0;b\\x07\\x0a\\u202e\\xff: no label");
  EXPECT_EQ(error_of([] { throw Error(error_of([] { fail("[a] \x1b"); })); }), "[a] \\x1b");
}

TEST(Printable, OfALongTextTheMiddleIsLeftOut) {
  EXPECT_EQ(shortened("abcdef", 6), "abcdef");
  EXPECT_EQ(shortened("abcdefg", 6), "abc...efg");
  EXPECT_EQ(shortened("éééé", 6), "é...éé");  // whole characters
  const std::string sentence = error_of([] { fail("[csv] a.csv: \"{}\" is no label", std::string(1 << 20, 'x')); });
  EXPECT_LT(sentence.size(), 8200u);
  EXPECT_TRUE(sentence.starts_with("[csv] a.csv: \"x")) << sentence;
  EXPECT_TRUE(sentence.ends_with("x\" is no label")) << sentence;
}

}  // namespace
}  // namespace gcvit
