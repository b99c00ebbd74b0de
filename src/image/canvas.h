// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "image/decode.h"

namespace gcvit::image {

using Colour = std::array<std::uint8_t, 3>;

/// A picture to draw on: rectangles, other pictures and small capitals. Drawing is clipped to its edges.
class Canvas {
 public:
  /// Pixels of a letter, the space behind it included.
  static constexpr std::int32_t kLetterWidth = 6;
  static constexpr std::int32_t kLetterHeight = 7;

  Canvas(std::int32_t width, std::int32_t height, Colour paper);

  void fill(std::int32_t x, std::int32_t y, std::int32_t width, std::int32_t height, Colour colour);
  void paste(std::int32_t x, std::int32_t y, const Image& picture);
  /// Letters of 5 x 7 dots of `scale` pixels from (x, y) on. Small letters become capitals; a character that the font
  /// doesn't have becomes "?".
  void write(std::int32_t x, std::int32_t y, std::int32_t scale, Colour colour, std::string_view text);

  const Image& picture() const { return picture_; }

 private:
  Image picture_;
};

/// The first `count` characters of UTF-8 text; the last two are dots if it is longer.
std::string fitted(std::string_view text, std::size_t count);

/// Width in pixels of this text as `write` draws it.
std::int32_t written_width(std::string_view text, std::int32_t scale);

}  // namespace gcvit::image
