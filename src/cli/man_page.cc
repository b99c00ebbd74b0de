// SPDX-License-Identifier: Apache-2.0
#include "cli/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/build_options.h"
#include "cli/events.h"
#include "cli/examples.h"
#include "gcvit/version.h"

namespace gcvit::cli {
namespace {

struct Variable {
  const char* name;
  const char* what;
  bool used = true;
};
constexpr std::array kVariables = {
    Variable{"GCVIT_MODELS", "Folder in which the bundled model is searched for first."},
    Variable{"GCVIT_TARGET", "SIMD target to use, such as AVX2, instead of the best that the processor has."},
    Variable{"GCVIT_CACHE", "Folder of pulled files; default: gcvit in XDG_CACHE_HOME or in ~/.cache.", kWithHub},
    Variable{"GCVIT_HUB_URL", "Address of a mirror of the official weight files.", kWithHub},
    Variable{"COLUMNS", "Width of help, 40 to 100 columns; default: that of the terminal."},
};

/// Text that roff takes for no request.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '\\') {
      result += "\\e";
    } else if (letter == '-') {
      result += "\\-";
    } else {
      result += letter;
    }
  }
  return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result : result;
}

std::string in_capitals(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string header(const std::string& name) {
  return fmt::format(".\\\" written by `gcvit man`\n.TH {} 1 \"\" \"gcvit {}\" \"User Commands\"\n", in_capitals(name),
                     GCVIT_VERSION);
}

std::string item(const std::string& heading, const std::string& text) {
  return fmt::format(".TP\n.B {}\n{}\n", escaped(heading), escaped(text));
}

std::string examples_section(const std::vector<Example>& examples) {
  std::string text = examples.empty() ? "" : ".SH EXAMPLES\n";
  for (const Example& example : examples) text += item(example.line, example.what);
  return text;
}

}  // namespace

std::string man_page_of_program(const std::string& text, const std::vector<CommandDescription>& commands) {
  std::string page = header("gcvit");
  page += fmt::format(".SH NAME\ngcvit \\- {}\n.SH SYNOPSIS\n.B gcvit\n.I COMMAND\n[OPTIONS] ...\n", escaped(text));
  page += ".SH COMMANDS\n";
  for (const CommandDescription& command : commands) page += item(command.name, command.text);
  page +=
      ".SH OPTIONS\n" + item(fmt::format("{} FD", kEventsFlag), kEventsText) + item(kWithParentFlag, kWithParentText);
  page += examples_section(examples_of(""));
  page += ".SH ENVIRONMENT\n";
  for (const Variable& variable : kVariables) {
    if (variable.used) page += item(variable.name, variable.what);
  }
  page += ".SH \"EXIT STATUS\"\n";
  page += item("0", "Success.");
  page += item("1", "The command, or a part of it, failed; standard error says why.");
  page += item("2", "The command line is wrong, or the command isn't part of this build.");
  page += item("130", "A training run was stopped by a signal.");
  page += ".SH \"SEE ALSO\"\n";
  for (const CommandDescription& command : commands) {
    page += fmt::format(".BR gcvit\\-{} (1){}\n", command.name, &command == &commands.back() ? "" : ",");
  }
  return page;
}

std::string man_page_of_command(const CommandDescription& command) {
  std::string page = header("gcvit-" + command.name);
  const std::string usage = usage_of(command);
  const std::string start = "gcvit " + command.name;
  page += fmt::format(".SH NAME\ngcvit\\-{} \\- {}\n.SH SYNOPSIS\n.B {}\n{}\n", command.name, escaped(command.text),
                      start, escaped(usage.substr(start.size() + 1)));
  bool first = true;
  for (const Argument& argument : command.arguments) {
    if (!argument.positional()) continue;
    if (first) page += ".SH ARGUMENTS\n";
    first = false;
    page += item(heading_of(argument), details_of(argument));
  }
  for (const std::string& group : groups_of(command)) {
    page += fmt::format(".SH \"{}\"\n", in_capitals(group));
    for (const Argument& argument : command.arguments) {
      if (!argument.positional() && argument.group == group) page += item(heading_of(argument), details_of(argument));
    }
  }
  page += examples_section(command.examples);
  return page + ".SH \"SEE ALSO\"\n.BR gcvit (1)\n";
}

}  // namespace gcvit::cli
