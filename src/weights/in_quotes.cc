// SPDX-License-Identifier: Apache-2.0
#include "weights/in_quotes.h"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>

#include "tensor/printable.h"

namespace gcvit::weights {
namespace {

constexpr std::size_t kLongest = 96;

/// Printable, and without what the quotes would take for their end or for an escape.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') {
      fmt::format_to(std::back_inserter(result), "\\x{:02x}", static_cast<unsigned>(letter));
    } else {
      result.push_back(letter);
    }
  }
  return printable(result);
}

/// The last place up to `end`, at most three bytes before it, where no UTF-8 character is cut.
std::size_t whole_before(std::string_view text, std::size_t end) {
  for (std::size_t back = 0; back < 4 && back <= end; ++back) {
    if ((text[end - back] & 0xc0) != 0x80) return end - back;
  }
  return end;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  if (text.size() <= kLongest) return '"' + escaped(text) + '"';
  const std::string_view front = text.substr(0, whole_before(text, kLongest / 2));
  const std::string_view back = text.substr(whole_before(text, text.size() - kLongest / 2));
  return '"' + escaped(front) + "..." + escaped(back) + '"';
}

std::string_view without_area(std::string_view sentence) {
  const std::size_t end = sentence.starts_with('[') ? sentence.find("] ") : std::string_view::npos;
  return end == std::string_view::npos ? sentence : sentence.substr(end + 2);
}

}  // namespace gcvit::weights
