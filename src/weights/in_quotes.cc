// SPDX-License-Identifier: Apache-2.0
#include "weights/in_quotes.h"

#include <fmt/format.h>

namespace gcvit::weights {
namespace {

constexpr std::size_t kLongest = 96;

void append_escaped(std::string& to, std::string_view text) {
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (code < 0x20 || code == 0x7f || letter == '"' || letter == '\\') {
      fmt::format_to(std::back_inserter(to), "\\x{:02x}", code);
    } else {
      to.push_back(letter);
    }
  }
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  if (text.size() <= kLongest) {
    append_escaped(result, text);
  } else {
    append_escaped(result, text.substr(0, kLongest / 2));
    result += "...";
    append_escaped(result, text.substr(text.size() - kLongest / 2));
  }
  result.push_back('"');
  return result;
}

std::string_view without_area(std::string_view sentence) {
  const std::size_t end = sentence.starts_with('[') ? sentence.find("] ") : std::string_view::npos;
  return end == std::string_view::npos ? sentence : sentence.substr(end + 2);
}

}  // namespace gcvit::weights
