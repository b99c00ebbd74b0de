// SPDX-License-Identifier: Apache-2.0
#include "serve/fields.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace gcvit::serve {
namespace {

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter; }

/// Where the parameter that begins at `from` ends: at the next ";" outside quotes.
std::size_t end_of_parameter(std::string_view field, std::size_t from) {
  bool quoted = false;
  for (std::size_t i = from; i < field.size(); ++i) {
    if (field[i] == '\\' && quoted) {
      ++i;
    } else if (field[i] == '"') {
      quoted = !quoted;
    } else if (field[i] == ';' && !quoted) {
      return i;
    }
  }
  return field.size();
}

std::string unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size()) ++i;
    out.push_back(text[i]);
  }
  return out;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string_view value_before_parameters(std::string_view field) { return trimmed(field.substr(0, field.find(';'))); }

std::optional<std::string> parameter_of(std::string_view field, std::string_view name) {
  std::size_t at = std::min(field.find(';'), field.size());
  while (at < field.size()) {
    const std::size_t end = end_of_parameter(field, at + 1);
    const std::string_view parameter = field.substr(at + 1, end - at - 1);
    const std::size_t equals = parameter.find('=');
    if (equals != std::string_view::npos && equals_ignoring_case(trimmed(parameter.substr(0, equals)), name)) {
      return unquoted(trimmed(parameter.substr(equals + 1)));
    }
    at = end;
  }
  return std::nullopt;
}

}  // namespace gcvit::serve
