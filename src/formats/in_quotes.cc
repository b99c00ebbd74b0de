// SPDX-License-Identifier: Apache-2.0
#include "formats/in_quotes.h"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>

#include "base/printable.h"

namespace gcvit::formats {
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

}  // namespace

std::string in_quotes(std::string_view text) { return '"' + escaped(shortened(text, kLongest)) + '"'; }

std::string_view without_area(std::string_view sentence) {
  const std::size_t end = sentence.starts_with('[') ? sentence.find("] ") : std::string_view::npos;
  return end == std::string_view::npos ? sentence : sentence.substr(end + 2);
}

}  // namespace gcvit::formats
