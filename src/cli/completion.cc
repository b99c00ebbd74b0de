// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace gcvit::cli {
namespace {

using Commands = std::vector<CommandDescription>;

std::vector<std::string> flags_of(const Argument& argument) {
  std::vector<std::string> flags;
  if (!argument.short_flag.empty()) flags.push_back(argument.short_flag);
  if (!argument.long_flag.empty()) flags.push_back(argument.long_flag);
  return flags;
}

/// Numbers and sizes can't be completed, nor can files be meant.
bool is_free(const Argument& argument) {
  constexpr std::string_view kNoFiles[] = {"N", "N,...", "HxW", "SIZE", "SECONDS", "MINUTES"};
  return argument.choices.empty() && std::ranges::find(kNoFiles, argument.value) != std::end(kNoFiles);
}

/// The text up to its first clause, for one line beside the flag.
std::string summary_of(const std::string& text) {
  return text.substr(0, std::min({text.find(';'), text.find(": "), text.find(". "), text.size()}));
}

/// In single quotes, for a shell that ends and begins them around a quote of the text.
std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char letter : text) result += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return result + "'";
}

std::string replaced(std::string text, std::string_view letters) {
  for (std::size_t at = 0; (at = text.find_first_of(letters, at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::vector<std::string> names_of(const Commands& commands) {
  std::vector<std::string> names;
  for (const CommandDescription& command : commands) names.push_back(command.name);
  return names;
}

const Argument* positional_with_choices(const CommandDescription& command) {
  const auto found = std::ranges::find_if(
      command.arguments, [](const Argument& argument) { return argument.positional() && !argument.choices.empty(); });
  return found == command.arguments.end() ? nullptr : &*found;
}

std::string bash_case(const CommandDescription& command) {
  std::vector<std::string> all;
  std::string cases;
  for (const Argument& argument : command.arguments) {
    const std::vector<std::string> flags = flags_of(argument);
    all.insert(all.end(), flags.begin(), flags.end());
    if (argument.positional() || argument.value.empty()) continue;
    const std::string pattern = fmt::format("{}", fmt::join(flags, "|"));
    if (!argument.choices.empty()) {
      cases += fmt::format("        {}) words='{}' ;;\n", pattern, fmt::join(argument.choices, " "));
    } else {
      cases += fmt::format("        {}) words={} ;;\n", pattern, is_free(argument) ? "none" : "files");
    }
  }
  const Argument* const positional = positional_with_choices(command);
  const std::string others = positional == nullptr ? "files" : fmt::format("{}", fmt::join(positional->choices, " "));
  return fmt::format("    {})\n      flags='{}'\n      others='{}'\n{}      ;;\n", command.name, fmt::join(all, " "),
                     others, cases.empty() ? "" : "      case $before in\n" + cases + "      esac\n");
}

std::string zsh_text(const std::string& text) { return replaced(summary_of(text), "[]:"); }

/// ":VALUE:what completes it"
std::string zsh_value(const Argument& argument) {
  if (argument.value.empty()) return "";
  const std::string name = argument.value.find('|') != std::string::npos ? "value" : replaced(argument.value, ":");
  if (!argument.choices.empty()) return fmt::format(":{}:({})", name, fmt::join(argument.choices, " "));
  return fmt::format(":{}:{}", name, is_free(argument) ? " " : "_files");
}

std::string zsh_argument(const Argument& argument) {
  if (argument.positional()) {
    return in_quotes("*" + (argument.value.empty() ? std::string(": :_files") : zsh_value(argument)));
  }
  const std::string rest = in_quotes("[" + zsh_text(argument.text) + "]" + zsh_value(argument));
  const std::vector<std::string> flags = flags_of(argument);
  if (flags.size() == 1) return flags.front() + rest;
  return fmt::format("'({})'{{{}}}{}", fmt::join(flags, " "), fmt::join(flags, ","), rest);
}

std::string fish_line(const CommandDescription& command, const Argument& argument) {
  std::string line = fmt::format("complete -c gcvit -n '__fish_seen_subcommand_from {}'", command.name);
  if (argument.positional()) {
    return argument.choices.empty() ? "" : line + fmt::format(" -f -a '{}'\n", fmt::join(argument.choices, " "));
  }
  if (!argument.short_flag.empty()) line += " -s " + argument.short_flag.substr(1);
  if (!argument.long_flag.empty()) line += " -l " + argument.long_flag.substr(2);
  if (!argument.choices.empty()) {
    line += fmt::format(" -x -a '{}'", fmt::join(argument.choices, " "));
  } else if (!argument.value.empty()) {
    line += is_free(argument) ? " -x" : " -r -F";
  }
  // In fish a backslash, not another pair of quotes, goes before a quote.
  return line + " -d '" + replaced(summary_of(argument.text), "\\'") + "'\n";
}

}  // namespace

std::string bash_completion(const Commands& commands) {
  std::string cases;
  for (const CommandDescription& command : commands) cases += bash_case(command);
  return fmt::format(R"(# bash completion for gcvit, written by `gcvit completion bash`
_gcvit() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} flags='' others='' words=''
  if [[ $word == '=' ]]; then
    word=''
  elif [[ $before == '=' ]]; then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '{} --events --with-parent --help --version' -- "$word")
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}  esac
  if [[ -z $words && $word == -* ]]; then
    words=$flags
  elif [[ -z $words ]]; then
    words=$others
  fi
  case $words in
    files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    none) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
  esac
}}
complete -F _gcvit gcvit
)",
                     fmt::join(names_of(commands), " "), cases);
}

std::string zsh_completion(const Commands& commands) {
  std::string list;
  std::string cases;
  for (const CommandDescription& command : commands) {
    list += "    " + in_quotes(command.name + ":" + summary_of(command.text)) + "\n";
    cases += fmt::format("    {})\n      _arguments", command.name);
    bool positional = false;
    for (const Argument& argument : command.arguments) {
      if (argument.positional() && positional) continue;  // the first stands for the rest
      positional = positional || argument.positional();
      cases += " \\\n        " + zsh_argument(argument);
    }
    cases += "\n      ;;\n";
  }
  return fmt::format(R"(#compdef gcvit
# zsh completion for gcvit, written by `gcvit completion zsh`
_gcvit() {{
  local -a commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  words=("${{(@)words[2,-1]}}")
  ((CURRENT--))
  case $command in
{}  esac
}}
_gcvit "$@"
)",
                     list, cases);
}

std::string fish_completion(const Commands& commands) {
  std::string text = "# fish completion for gcvit, written by `gcvit completion fish`\n";
  for (const CommandDescription& command : commands) {
    text += fmt::format("complete -c gcvit -n __fish_use_subcommand -f -a {} -d '{}'\n", command.name,
                        replaced(summary_of(command.text), "\\'"));
  }
  for (const CommandDescription& command : commands) {
    for (const Argument& argument : command.arguments) text += fish_line(command, argument);
  }
  return text;
}

}  // namespace gcvit::cli
