// SPDX-License-Identifier: Apache-2.0
#include "report/pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "image/canvas.h"

namespace gcvit::report {
namespace {

using image::Canvas;
using image::Colour;
using image::fitted;
using image::written_width;

constexpr Colour kPaper = {255, 255, 255};
constexpr Colour kInk = {27, 32, 39};
constexpr Colour kFaint = {150, 158, 168};
constexpr Colour kGood = {31, 122, 77};
constexpr Colour kBad = {179, 55, 43};

constexpr std::size_t kMostNamed = 20;
constexpr std::size_t kNameLetters = 14;
constexpr std::int32_t kLargestMap = 2048;  ///< pixels of a side
constexpr std::int32_t kLine = 10;  ///< from one line of small letters to the next

/// From paper to `colour`, share 0 to 1.
Colour blend(Colour colour, double share) {
  Colour result{};
  for (std::size_t i = 0; i < 3; ++i) {
    result[i] = static_cast<std::uint8_t>(kPaper[i] + share * (static_cast<double>(colour[i]) - kPaper[i]) + 0.5);
  }
  return result;
}

/// A row's share as a colour: what is on the diagonal is right.
Colour cell_colour(const evaluate::Metrics& metrics, std::int32_t row, std::int32_t column) {
  const std::int64_t count = metrics.per_class()[static_cast<std::size_t>(row)].count;
  const std::int64_t found = metrics.confusion(row, column);
  if (found == 0) return blend(kInk, 0.04);
  return blend(row == column ? kGood : kBad, 0.15 + 0.6 * static_cast<double>(found) / static_cast<double>(count));
}

image::Image named_matrix(const evaluate::Metrics& metrics, std::span<const std::string> classes) {
  constexpr std::int32_t kCell = 56;
  constexpr std::int32_t kMargin = 12;
  const auto count = static_cast<std::int32_t>(classes.size());
  std::int32_t names = 0;
  for (const std::string& name : classes) names = std::max(names, written_width(fitted(name, kNameLetters), 1));
  const std::int32_t left = kMargin + names + Canvas::kLetterWidth;
  const std::int32_t top = kMargin + 3 * kLine;
  Canvas canvas(left + count * kCell + kMargin, top + count * kCell + kMargin, kPaper);
  canvas.write(kMargin, kMargin, 1, kFaint, "ROWS: TRUE, COLUMNS: TAKEN FOR");
  for (std::int32_t row = 0; row < count; ++row) {
    const std::string& name = classes[static_cast<std::size_t>(row)];
    canvas.write(kMargin, top + row * kCell + (kCell - Canvas::kLetterHeight) / 2, 1, kInk, fitted(name, kNameLetters));
    canvas.write(left + row * kCell + 2, top - kLine, 1, kInk, fitted(name, kCell / Canvas::kLetterWidth));
    for (std::int32_t column = 0; column < count; ++column) {
      const std::int32_t x = left + column * kCell;
      const std::int32_t y = top + row * kCell;
      canvas.fill(x + 1, y + 1, kCell - 2, kCell - 2, cell_colour(metrics, row, column));
      const std::string text = std::to_string(metrics.confusion(row, column));
      if (text == "0") continue;
      const std::int32_t scale = text.size() <= 3 ? 2 : 1;
      canvas.write(x + (kCell - written_width(text, scale) + scale) / 2,
                   y + (kCell - Canvas::kLetterHeight * scale) / 2, scale, kInk, text);
    }
  }
  return canvas.picture();
}

}  // namespace

image::Image confusion_picture(const evaluate::Metrics& metrics, std::span<const std::string> classes) {
  if (classes.size() <= kMostNamed) return named_matrix(metrics, classes);
  const auto count = static_cast<std::int32_t>(classes.size());
  if (count > kLargestMap) {  // several classes a pixel: those that were met are drawn
    Canvas canvas(kLargestMap, kLargestMap, blend(kInk, 0.04));
    const auto place = [&](std::int32_t index) {
      return static_cast<std::int32_t>(std::int64_t{index} * kLargestMap / count);
    };
    for (const auto& [at, found] : metrics.confusions()) {
      canvas.fill(place(at.second), place(at.first), 1, 1, cell_colour(metrics, at.first, at.second));
    }
    return canvas.picture();
  }
  const std::int32_t cell = std::max(1, 600 / count);
  Canvas canvas(count * cell, count * cell, kPaper);
  for (std::int32_t row = 0; row < count; ++row) {
    for (std::int32_t column = 0; column < count; ++column) {
      canvas.fill(column * cell, row * cell, cell, cell, cell_colour(metrics, row, column));
    }
  }
  return canvas.picture();
}

image::Image example_grid(std::span<const Example> examples, std::span<const std::string> classes) {
  constexpr std::int32_t kColumns = 4;
  constexpr std::int32_t kSide = 160;
  constexpr std::int32_t kGap = 10;
  constexpr std::int32_t kTall = kSide + 3 * kLine + kGap;
  const auto count = static_cast<std::int32_t>(examples.size());
  const std::int32_t columns = std::min(kColumns, count);
  const std::int32_t rows = (count + kColumns - 1) / kColumns;
  Canvas canvas(kGap + columns * (kSide + kGap), kGap + rows * kTall, kPaper);
  for (std::int32_t i = 0; i < count; ++i) {
    const Example& example = examples[static_cast<std::size_t>(i)];
    const std::int32_t x = kGap + i % kColumns * (kSide + kGap);
    const std::int32_t y = kGap + i / kColumns * kTall;
    canvas.fill(x, y, kSide, kSide, blend(kInk, 0.08));
    if (!example.picture.pixels.empty()) canvas.paste(x, y, thumbnail(example.picture, kSide));
    const auto name = [&](std::int32_t label) {
      return fitted(classes[static_cast<std::size_t>(label)], kSide / Canvas::kLetterWidth - 5);
    };
    canvas.write(x, y + kSide + 5, 1, example.right() ? kGood : kBad,
                 fmt::format("{} {:.0f}%", name(example.predicted), 100.0 * example.probability));
    if (!example.right()) canvas.write(x, y + kSide + 5 + kLine, 1, kInk, "IS " + name(example.label));
  }
  return canvas.picture();
}

}  // namespace gcvit::report
