// SPDX-License-Identifier: Apache-2.0
#include "terminal/style.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace gcvit {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string_view code_of(Style style) {
  switch (style) {
    case Style::kGood: return "32";
    case Style::kDoubtful: return "33";
    case Style::kFaint: return "2";
  }
  return "0";
}

}  // namespace

bool is_capable_terminal(std::FILE* stream) {
  const std::string_view term = variable("TERM");
  return isatty(fileno(stream)) == 1 && term != "dumb";
}

bool wants_colour(std::FILE* stream) {
  if (!variable("NO_COLOR").empty()) return false;
  const std::string_view force = variable("CLICOLOR_FORCE");
  if (!force.empty() && force != "0") return true;
  return is_capable_terminal(stream) && !variable("TERM").empty();
}

std::string styled(std::string_view text, Style style, bool colour) {
  return colour ? fmt::format("\033[{}m{}\033[0m", code_of(style), text) : std::string(text);
}

}  // namespace gcvit
