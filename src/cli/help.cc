// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "cli/examples.h"
#include "gcvit/version.h"

namespace gcvit::cli {
namespace {

constexpr std::size_t kNarrowest = 40;
constexpr std::size_t kWidest = 100;
constexpr std::size_t kWithoutTerminal = 80;
/// Where descriptions begin, on wide terminals and on narrow ones.
constexpr std::size_t kColumn = 26;
constexpr std::size_t kNarrowColumn = 8;

/// "  heading   text", the text wrapped in its own column, below the heading where that is too long.
std::string entry(const std::string& heading, const std::string& text, std::size_t column, std::size_t width) {
  std::string result = "  " + heading;
  bool first = true;
  for (const std::string& line : wrap(text, width - column)) {
    if (first && result.size() + 2 <= column) {
      result += std::string(column - result.size(), ' ') + line;
    } else {
      result += "\n" + std::string(column, ' ') + line;
    }
    first = false;
  }
  return result + "\n";
}

std::string examples_text(const std::vector<Example>& examples, std::size_t width) {
  if (examples.empty()) return "";
  std::string text = examples.size() == 1 ? "\nExample:\n" : "\nExamples:\n";
  for (const Example& example : examples) {
    text += "  " + example.line + "\n";
    for (const std::string& line : wrap(example.what, width - kNarrowColumn)) {
      text += std::string(kNarrowColumn, ' ') + line + "\n";
    }
  }
  return text;
}

/// A long usage goes on below its first words.
std::string usage_text(const std::string& usage, std::size_t width) {
  std::string text;
  for (const std::string& line : wrap(usage, width - 9)) text += (text.empty() ? "Usage: " : "         ") + line + "\n";
  return text;
}

}  // namespace

std::size_t help_width() {
  std::size_t width = 0;
  if (const char* const columns = std::getenv("COLUMNS"); columns != nullptr) {
    const char* const end = columns + std::strlen(columns);
    if (std::from_chars(columns, end, width).ptr != end) width = 0;
  }
  struct winsize size{};
  if (width == 0 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) width = size.ws_col;
  if (width == 0) return kWithoutTerminal;
  return std::clamp(width, kNarrowest, kWidest);
}

std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (lines.empty() || lines.back().size() + 1 + word.size() > width) {
      lines.push_back(word);
    } else {
      lines.back() += " " + word;
    }
  }
  return lines;
}

std::string help_of_program(CLI::App& program, std::size_t width) {
  std::string text =
      "gcvit " GCVIT_VERSION ": " + program.get_description() + "\n\nUsage: gcvit COMMAND [OPTIONS] ...\n";
  std::string group;
  for (const CommandDescription& command : describe_commands(program)) {
    if (command.group != group) {
      group = command.group;
      text += "\n" + group + ":\n";
    }
    text += entry(command.name, command.text, 14, width);
  }
  text += "\nOptions:\n";
  for (const CLI::Option* const option : program.get_options()) {
    std::string heading = option->get_name(false, true) == "--help" ? "-h, --help" : option->get_name(false, true);
    if (const std::string value = option->get_type_name(); !value.empty()) heading += " " + value;
    text += entry(heading, option->get_description(), 14, width);
  }
  text += examples_text(examples_of(""), width);
  return text + "\n`gcvit help COMMAND` describes a command and its options.\n";
}

std::string help_of_command(const CommandDescription& command, std::size_t width) {
  std::string text;
  for (const std::string& line : wrap("gcvit " + command.name + ": " + command.text, width)) text += line + "\n";
  text += "\n" + usage_text(usage_of(command), width);
  const std::size_t column = width < 2 * kColumn ? kNarrowColumn : kColumn;
  bool first = true;
  for (const Argument& argument : command.arguments) {
    if (!argument.positional()) continue;
    if (first) text += "\nArguments:\n";
    first = false;
    text += entry(heading_of(argument), details_of(argument), column, width);
  }
  for (const std::string& group : groups_of(command)) {
    text += "\n" + group + ":\n";
    for (const Argument& argument : command.arguments) {
      if (argument.positional() || argument.group != group) continue;
      text += entry(heading_of(argument), details_of(argument), column, width);
    }
  }
  return text + examples_text(command.examples, width);
}

}  // namespace gcvit::cli
