// SPDX-License-Identifier: Apache-2.0
#include "cli/description.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "cli/examples.h"

namespace gcvit::cli {
namespace {

/// Longer lists of choices are named in the text or by another command.
constexpr std::size_t kMostChoices = 12;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

/// Reads CLI11's own descriptions: "{a,b}", "INT in [1 - 8]", "NONNEGATIVE", "POSITIVE".
void read_validator(std::string_view text, Argument& argument) {
  const std::size_t range = text.find(" in [");
  if (text.starts_with("{") && text.ends_with("}")) {
    argument.choices = split(text.substr(1, text.size() - 2), ',');
  } else if (range != std::string_view::npos && text.ends_with("]")) {
    argument.range = text.substr(range + 5, text.size() - range - 6);
    if (const std::size_t dash = argument.range.find(" - "); dash != std::string::npos) {
      argument.range.replace(dash, 3, " to ");
    }
  } else if (text == "NONNEGATIVE") {
    argument.range = "at least 0";
  } else if (text == "POSITIVE") {
    argument.range = "over 0";
  }
}

void read_validators(CLI::Option& option, Argument& argument) {
  for (int i = 0;; ++i) {
    try {
      read_validator(option.get_validator(i)->get_description(), argument);
    } catch (const CLI::OptionNotFound&) {
      return;
    }
  }
}

std::string value_name(const CLI::Option& option, const Argument& argument) {
  const std::string full = option.get_type_name();
  std::string type = full.substr(0, full.find(':'));
  const bool list = option.get_delimiter() != '\0';
  if (!argument.choices.empty() && argument.choices.size() <= kMostChoices && (type == "TEXT" || type.empty())) {
    return fmt::format("{}{}", fmt::join(argument.choices, "|"), list ? ",..." : "");
  }
  if (type == "INT" || type == "UINT" || type == "FLOAT") return list ? "N,..." : "N";
  if (type == "TEXT" && option.get_positional()) return option.get_name(true);
  return type;
}

Argument describe(CLI::Option& option) {
  Argument argument;
  if (!option.get_snames().empty()) argument.short_flag = "-" + option.get_snames().front();
  if (!option.get_lnames().empty()) argument.long_flag = "--" + option.get_lnames().front();
  argument.text = option.get_description();
  argument.group = option.get_group();
  argument.required = option.get_required();
  argument.default_value = option.get_default_str();
  if (option.get_items_expected_max() == 0) return argument;
  read_validators(option, argument);
  argument.value = value_name(option, argument);
  if (argument.default_value.starts_with('[') && argument.default_value.ends_with(']')) {
    argument.default_value = argument.default_value.substr(1, argument.default_value.size() - 2);
  }
  argument.repeated = argument.positional() && option.get_items_expected_max() > 2;
  return argument;
}

}  // namespace

CommandDescription describe(CLI::App& command) {
  CommandDescription result{
      command.get_name(), command.get_description(), command.get_group(), {}, examples_of(command.get_name())};
  std::vector<Argument> common;
  for (CLI::Option* const option : command.get_options([](const CLI::Option*) { return true; })) {
    if (option->get_group().empty()) continue;
    const bool everywhere = option == command.get_help_ptr() || option == command.get_version_ptr();
    (everywhere ? common : result.arguments).push_back(describe(*option));
  }
  result.arguments.insert(result.arguments.end(), common.begin(), common.end());
  return result;
}

std::vector<CommandDescription> describe_commands(CLI::App& program) {
  std::vector<CommandDescription> commands;
  for (CLI::App* const command : program.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(describe(*command));
  }
  return commands;
}

std::string usage_of(const CommandDescription& command) {
  std::string text = "gcvit " + command.name + " [OPTIONS]";
  const auto add = [&](const Argument& argument) {
    const std::string& flag = argument.short_flag.empty() ? argument.long_flag : argument.short_flag;
    const std::string value = argument.value + (argument.repeated ? "..." : "");
    if (argument.positional()) {
      text += argument.required ? " " + value : " [" + value + "]";
    } else if (argument.required) {
      text += " " + flag + " " + value;
    }
  };
  for (const Argument& argument : command.arguments) {
    if (argument.positional()) add(argument);
  }
  for (const Argument& argument : command.arguments) {
    if (!argument.positional()) add(argument);
  }
  return text;
}

std::string heading_of(const Argument& argument) {
  std::string text = argument.short_flag;
  if (!argument.long_flag.empty()) text += (text.empty() ? "" : ", ") + argument.long_flag;
  if (!argument.value.empty()) text += (text.empty() ? "" : " ") + argument.value;
  return text + (argument.repeated ? "..." : "");
}

std::string details_of(const Argument& argument) {
  std::vector<std::string> details;
  if (argument.required && !argument.positional()) details.emplace_back("required");
  if (!argument.default_value.empty()) details.push_back("default: " + argument.default_value);
  if (!argument.range.empty()) details.push_back(argument.range);
  const bool listed = argument.value.find('|') != std::string::npos || argument.choices.size() > kMostChoices;
  if (!listed && !argument.choices.empty()) details.push_back(fmt::format("{}", fmt::join(argument.choices, ", ")));
  if (details.empty()) return argument.text;
  return fmt::format("{} ({})", argument.text, fmt::join(details, "; "));
}

std::vector<std::string> groups_of(const CommandDescription& command) {
  std::vector<std::string> groups;
  for (const Argument& argument : command.arguments) {
    if (argument.positional() || std::ranges::find(groups, argument.group) != groups.end()) continue;
    groups.push_back(argument.group);
  }
  return groups;
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return {[](std::string&) { return std::string(); }, fmt::format("{{{}}}", fmt::join(words, ",")), "words"};
}

CLI::Validator range_of(const std::string& range) {
  return {[](std::string&) { return std::string(); }, " in [" + range + "]", "range"};
}

}  // namespace gcvit::cli
