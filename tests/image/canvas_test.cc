// SPDX-License-Identifier: Apache-2.0
#include "image/canvas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace gcvit::image {
namespace {

constexpr Colour kWhite = {255, 255, 255};
constexpr Colour kBlack = {0, 0, 0};

/// The picture as rows of "#" for black and "." for white.
std::string drawn(const Image& picture) {
  std::string text;
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3) {
    text += picture.pixels[i] == 0 ? '#' : '.';
    if ((i / 3 + 1) % static_cast<std::size_t>(picture.width) == 0) text += '\n';
  }
  return text;
}

TEST(Canvas, WritesLettersAsTheFontShowsThem) {
  Canvas canvas(18, 7, kWhite);
  canvas.write(0, 0, 1, kBlack, "g 7");
  EXPECT_EQ(drawn(canvas.picture()),
            ".####.......#####.\n"
            "#...............#.\n"
            "#..............#..\n"
            "#..##..........#..\n"
            "#...#.........#...\n"
            "#...#.........#...\n"
            ".####.........#...\n");
}

TEST(Canvas, WhatTheFontLacksIsAQuestionMark) {
  Canvas strange(6, 7, kWhite);
  strange.write(0, 0, 1, kBlack, "\u00f6");
  Canvas question(6, 7, kWhite);
  question.write(0, 0, 1, kBlack, "?");
  EXPECT_EQ(drawn(strange.picture()), drawn(question.picture()));
  EXPECT_EQ(written_width("\u00f6\u00f6", 2), 24);
}

TEST(Canvas, EveryLetterIsAnother) {
  std::vector<std::string> all;
  for (const char letter : std::string(" ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-_+/%()'&=!#?")) {
    Canvas canvas(6, 7, kWhite);
    canvas.write(0, 0, 1, kBlack, std::string(1, letter));
    all.push_back(drawn(canvas.picture()));
    EXPECT_EQ(all.back().find("#\n"), std::string::npos) << letter;  // the last column is the space behind
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
}

TEST(Canvas, CutsAtItsEdges) {
  Canvas canvas(4, 3, kWhite);
  canvas.fill(-5, -5, 7, 6, kBlack);
  canvas.fill(3, 2, 100, 100, kBlack);
  canvas.write(100, 100, 3, kBlack, "A");
  EXPECT_EQ(drawn(canvas.picture()), "##..\n....\n...#\n");
  canvas.paste(2, -1, {3, 3, std::vector<std::uint8_t>(27, 0)});
  EXPECT_EQ(drawn(canvas.picture()), "####\n..##\n...#\n");
}

TEST(Canvas, LongNamesAreCutBetweenCharacters) {
  EXPECT_EQ(fitted("daisy", 5), "daisy");
  EXPECT_EQ(fitted("dandelion", 5), "dan..");
  EXPECT_EQ(fitted("größe und", 5), "grö..");
  EXPECT_EQ(fitted("dandelion", 1), ".");
}

}  // namespace
}  // namespace gcvit::image
