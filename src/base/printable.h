// SPDX-License-Identifier: Apache-2.0
// Text that strangers wrote (names of classes, tensors and files, metadata), made safe to show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gcvit {

/// `text` on one line of a terminal, a page or a log, where it shows what it holds and does nothing else. ASCII's control
/// characters and bytes that are no UTF-8 become "\x1b", "\xff"; other characters that are invisible or that steer their
/// neighbours become "\u202e": control characters (U+0080..9F), line and paragraph separators, marks and overrides of
/// direction, zero-width spaces, tags. The joiners U+200C and U+200D stay, because words of Persian and Hindi and emoji
/// need them. What is printable stays as it is, the backslash too, so doing it twice is doing it once.
std::string printable(std::string_view text);

/// Printable text of at most so many bytes (plus three): the middle of a longer one becomes "...". No character is cut.
std::string shortened(std::string_view text, std::size_t longest);

/// `printable` for text of several lines: "\n" stays.
std::string printable_lines(std::string_view text);

/// JSON on one line, which must be UTF-8: the same characters as JSON's own escapes, so that it still says the same.
std::string printable_json(std::string_view json);

}  // namespace gcvit
