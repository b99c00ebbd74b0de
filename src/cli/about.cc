// SPDX-License-Identifier: Apache-2.0
// gcvit help, version, completion and man: what the program says of itself.
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "base/atomic_file.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/man_page.h"
#include "cli/output.h"
#include "cli/unknown_words.h"
#include "gcvit/version.h"

namespace gcvit::cli {
namespace {

/// Throws `UsageError` for a name that isn't a command's.
CLI::App& command_of(CLI::App& program, const std::string& name) {
  if (const std::string sentence = why_no_command(program, name); !sentence.empty()) throw UsageError(sentence);
  return *program.get_subcommand(name);
}

Command add_help(CLI::App& program) {
  CLI::App* app = program.add_subcommand("help", "Describe the program or a command");
  const auto command = std::make_shared<std::string>();
  app->add_option("COMMAND", *command, "The command to describe; without it, all commands are listed")
      ->type_name("COMMAND");
  return {app, [&program, command] {
            print(command->empty() ? help_of_program(program, help_width())
                                   : help_of_command(describe(command_of(program, *command)), help_width()));
            return 0;
          }};
}

Command add_version(CLI::App& program) {
  return {program.add_subcommand("version", "Print the program's version"), [] {
            print("gcvit " GCVIT_VERSION "\n");
            return 0;
          }};
}

Command add_completion(CLI::App& program) {
  CLI::App* app = program.add_subcommand("completion", "Print a completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  app->add_option("SHELL", *shell, "The shell to complete in")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return {app, [&program, shell] {
            const std::vector<CommandDescription> commands = describe_commands(program);
            print(*shell == "bash"  ? bash_completion(commands)
                  : *shell == "zsh" ? zsh_completion(commands)
                                    : fish_completion(commands));
            return 0;
          }};
}

void write_file(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

Command add_man(CLI::App& program) {
  CLI::App* app = program.add_subcommand("man", "Print a manual page, or write all of them");
  struct Options {
    std::string command;
    std::string folder;
  };
  const auto options = std::make_shared<Options>();
  CLI::Option* const command =
      app->add_option("COMMAND", options->command, "The command whose page is printed; without it, that of the program")
          ->type_name("COMMAND");
  app->add_option("--to", options->folder, "Write all pages into this folder, which must be there, instead")
      ->type_name("DIR")
      ->excludes(command);
  return {app, [&program, options] {
            const std::vector<CommandDescription> commands = describe_commands(program);
            const std::string of_program = man_page_of_program(program.get_description(), commands);
            if (!options->folder.empty()) {
              write_file(options->folder + "/gcvit.1", of_program);
              for (const CommandDescription& one : commands) {
                write_file(options->folder + "/gcvit-" + one.name + ".1", man_page_of_command(one));
              }
            } else if (options->command.empty()) {
              print(of_program);
            } else {
              print(man_page_of_command(describe(command_of(program, options->command))));
            }
            return 0;
          }};
}

}  // namespace

std::vector<Command> add_about(CLI::App& program) {
  std::vector<Command> commands = {add_help(program), add_version(program), add_completion(program), add_man(program)};
  std::vector<std::string> names;
  for (const CommandDescription& command : describe_commands(program)) names.push_back(command.name);
  for (const char* const name : {"help", "man"}) {
    program.get_subcommand(name)->get_option("COMMAND")->check(one_of(names));
  }
  for (const Command& command : commands) command.app->group("About gcvit");
  return commands;
}

}  // namespace gcvit::cli
