// SPDX-License-Identifier: Apache-2.0
#include "image/canvas.h"

#include <algorithm>
#include <string>

namespace gcvit::image {
namespace {

constexpr std::size_t kLettersInBand = 13;
constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-_+/%()'&=!#?";

/// The letters as they look, in bands of 13.
// clang-format off
constexpr std::string_view kFont[] = {
    " ###  ####   #### ####  ##### #####  #### #   #  ###    ### #   # #     #   # ",
    "#   # #   # #     #   # #     #     #     #   #   #      #  #  #  #     ## ## ",
    "#   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # # ",
    "##### ####  #     #   # ####  ####  #  ## #####   #      #  ##    #     # # # ",
    "#   # #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   # ",
    "#   # #   # #     #   # #     #     #   # #   #   #   #  #  #  #  #     #   # ",
    "#   # ####   #### ####  ##### #      #### #   #  ###   ##   #   # ##### #   # ",

    "#   #  ###  ####   ###  ####   #### ##### #   # #   # #   # #   # #   # ##### ",
    "##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #  #   #     # ",
    "##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #   # #     #  ",
    "# # # #   # ####  #   # ####   ###    #   #   # #   # # # #   #     #     #   ",
    "#  ## #   # #     # # # # #       #   #   #   #  # #  # # #  # #    #    #    ",
    "#  ## #   # #     #  #  #  #      #   #   #   #  # #  ## ##  # #    #   #     ",
    "#   #  ###  #      ## # #   # ####    #    ###    #   #   # #   #   #   ##### ",

    " ###    #    ###   ###     #  #####  ###  #####  ###   ###                    ",
    "#   #  ##   #   # #   #   ##  #     #   #     # #   # #   #               ##  ",
    "#  ##   #       #     #  # #  ####  #        #  #   # #   #               ##  ",
    "# # #   #     ##    ##  #  #      # ####     #   ###   ####                   ",
    "##  #   #    #        # #####     # #   #   #   #   #     #         ##    ##  ",
    "#   #   #   #     #   #    #  #   # #   #   #   #   # #   #   ##     #    ##  ",
    " ###   ###  #####  ###     #   ###   ###    #    ###   ###    ##    #         ",

    "                      # ##  #    #   #      #    ##           #    # #   ###  ",
    "              #       # ##  #   #     #     #   #  #          #    # #  #   # ",
    "              #      #     #   #       #   #    #  #  #####   #   #####     # ",
    " ###        #####   #     #    #       #         ##           #    # #     #  ",
    "              #    #     #     #       #        # # # #####   #   #####   #   ",
    "              #   #     #  ##   #     #         #  #               # #        ",
    "      #####       #     #  ##    #   #           ## #         #    # #    #   "
};
// clang-format on

/// The place in `kLetters`, of a space none.
std::size_t letter_index(char letter) {
  if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  const std::size_t index = kLetters.find(letter);
  return index != std::string_view::npos || letter == ' ' ? index : kLetters.find('?');
}

bool is_dot(std::size_t letter, std::size_t row, std::size_t column) {
  const std::size_t band = letter / kLettersInBand;
  return kFont[band * Canvas::kLetterHeight + row][letter % kLettersInBand * Canvas::kLetterWidth + column] == '#';
}

/// True for every byte of UTF-8 text but those that continue a character.
bool begins_character(char byte) { return (byte & 0xc0) != 0x80; }

}  // namespace

Canvas::Canvas(std::int32_t width, std::int32_t height, Colour paper) : picture_{width, height, {}} {
  picture_.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  fill(0, 0, width, height, paper);
}

void Canvas::fill(std::int32_t x, std::int32_t y, std::int32_t width, std::int32_t height, Colour colour) {
  for (std::int32_t row = std::max(y, 0); row < std::min(y + height, picture_.height); ++row) {
    for (std::int32_t column = std::max(x, 0); column < std::min(x + width, picture_.width); ++column) {
      const std::size_t pixel =
          static_cast<std::size_t>(row) * static_cast<std::size_t>(picture_.width) + static_cast<std::size_t>(column);
      std::copy(colour.begin(), colour.end(), picture_.pixels.data() + 3 * pixel);
    }
  }
}

void Canvas::paste(std::int32_t x, std::int32_t y, const Image& picture) {
  for (std::int32_t row = 0; row < picture.height; ++row) {
    for (std::int32_t column = 0; column < picture.width; ++column) {
      const std::uint8_t* from =
          picture.pixels.data() + 3 * (static_cast<std::size_t>(row) * static_cast<std::size_t>(picture.width) +
                                       static_cast<std::size_t>(column));
      fill(x + column, y + row, 1, 1, {from[0], from[1], from[2]});
    }
  }
}

void Canvas::write(std::int32_t x, std::int32_t y, std::int32_t scale, Colour colour, std::string_view text) {
  for (const char letter : text) {
    if (!begins_character(letter)) continue;
    const std::size_t index = letter_index(letter);
    for (std::int32_t row = 0; index != std::string_view::npos && row < kLetterHeight; ++row) {
      for (std::int32_t column = 0; column < kLetterWidth - 1; ++column) {
        if (!is_dot(index, static_cast<std::size_t>(row), static_cast<std::size_t>(column))) continue;
        fill(x + column * scale, y + row * scale, scale, scale, colour);
      }
    }
    x += kLetterWidth * scale;
  }
}

std::string fitted(std::string_view text, std::size_t count) {
  const auto characters = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
  if (characters <= count) return std::string(text);
  std::string result;
  std::size_t kept = 0;
  const std::size_t whole = count < 2 ? 0 : count - 2;
  for (const char byte : text) {
    if (begins_character(byte) && ++kept > whole) break;
    result += byte;
  }
  return result + std::string(count - whole, '.');
}

std::int32_t written_width(std::string_view text, std::int32_t scale) {
  return static_cast<std::int32_t>(std::count_if(text.begin(), text.end(), begins_character)) * Canvas::kLetterWidth *
         scale;
}

}  // namespace gcvit::image
