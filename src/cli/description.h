// SPDX-License-Identifier: Apache-2.0
// What a command takes, read off its CLI11 description: the one source of help, completions and man pages.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace gcvit::cli {

/// A flag, or a positional argument.
struct Argument {
  std::string short_flag;  ///< "-m", or empty
  std::string long_flag;   ///< "--model", or empty; the first where an option has aliases
  std::string value;       ///< "MODEL"; empty for a switch
  std::vector<std::string> choices;
  std::string range;  ///< "1 to 1024", or empty
  std::string default_value;
  std::string text;
  std::string group;
  bool required = false;
  bool repeated = false;

  bool positional() const { return short_flag.empty() && long_flag.empty(); }
};

/// A command line and what it does.
struct Example {
  std::string line;
  std::string what;
};

struct CommandDescription {
  std::string name;
  std::string text;
  std::string group;
  std::vector<Argument> arguments;  ///< hidden ones are left out
  std::vector<Example> examples;
};

/// One subcommand.
CommandDescription describe(CLI::App& command);
/// The subcommands of the program, in their order.
std::vector<CommandDescription> describe_commands(CLI::App& program);

/// "gcvit train [OPTIONS] DATA -o RUN_DIR"
std::string usage_of(const CommandDescription& command);
/// "-m, --model MODEL", "IMAGE..."
std::string heading_of(const Argument& argument);
/// The text with default, range and whether it is required.
std::string details_of(const Argument& argument);
/// The groups of the command's flags in the order in which they come up.
std::vector<std::string> groups_of(const CommandDescription& command);

/// A validator that accepts everything: it only tells help which values there are, where the check is done elsewhere.
CLI::Validator one_of(const std::vector<std::string>& words);
CLI::Validator range_of(const std::string& range);

}  // namespace gcvit::cli
