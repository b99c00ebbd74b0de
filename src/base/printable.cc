// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "base/utf8.h"

namespace gcvit {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

/// Unicode's Cc, Zl, Zp and Cf, but the joiners U+200C and U+200D and the few of Cf that have a shape of their own.
constexpr Range kHidden[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},     {0x180e, 0x180e},
    {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},   {0xfeff, 0xfeff},
    {0xfff9, 0xfffb}, {0xfffe, 0xffff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe007f},
};

bool is_hidden(char32_t code) {
  return std::any_of(std::begin(kHidden), std::end(kHidden),
                     [code](const Range& range) { return code >= range.first && code <= range.last; });
}

/// `text` with what `escape(code)` says instead of each hidden character; bytes that are no UTF-8 become "\xff".
template <typename Escape>
std::string with_escapes(std::string_view text, Escape&& escape) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    const std::string_view bytes = text.substr(0, std::max<std::size_t>(size, 1));
    const char32_t code = utf8_code(bytes);
    if (size == 0) {
      fmt::format_to(std::back_inserter(result), "\\x{:02x}", static_cast<unsigned>(code));
    } else if (is_hidden(code)) {
      result += escape(static_cast<unsigned>(code));
    } else {
      result += bytes;
    }
    text.remove_prefix(bytes.size());
  }
  return result;
}

std::string escape(unsigned code) {
  if (code < 0x80) return fmt::format("\\x{:02x}", code);
  return code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

/// The last place up to `end`, at most three bytes before it, where no UTF-8 character is cut.
std::size_t whole_before(std::string_view text, std::size_t end) {
  for (std::size_t back = 0; back < 4 && back <= end; ++back) {
    if ((text[end - back] & 0xc0) != 0x80) return end - back;
  }
  return end;
}

}  // namespace

std::string shortened(std::string_view text, std::size_t longest) {
  if (text.size() <= longest) return std::string(text);
  std::string both(text.substr(0, whole_before(text, longest / 2)));
  return both.append("...").append(text.substr(whole_before(text, text.size() - longest / 2)));
}

std::string printable(std::string_view text) { return with_escapes(text, escape); }

std::string printable_lines(std::string_view text) {
  return with_escapes(text, [](unsigned code) { return code == '\n' ? std::string("\n") : escape(code); });
}

std::string printable_json(std::string_view json) {
  return with_escapes(json, [](unsigned code) {
    if (code < 0x10000) return fmt::format("\\u{:04x}", code);
    const unsigned rest = code - 0x10000;
    return fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
  });
}

}  // namespace gcvit
