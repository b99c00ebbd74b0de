// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gcvit {

/// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none (Unicode 15, table 3-7).
std::size_t utf8_size(std::string_view text);

/// The code point of a character's bytes, of which there are 1 to 4.
char32_t utf8_code(std::string_view character);

/// Appends the character of a code point up to U+10FFFF.
void append_utf8(std::string& text, char32_t code);

}  // namespace gcvit
