// SPDX-License-Identifier: Apache-2.0
// gcvit: classify photos with GCViT. Exit code 0: done; 1: the run failed, or a part of it; 2: called wrongly.
#include <csignal>
#include <exception>
#include <new>
#include <vector>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "gcvit/error.h"
#include "gcvit/version.h"

namespace gcvit::cli {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int usage_error(std::string_view sentence, const std::string& command) {
  notice(sentence);
  notice("run `gcvit " + (command.empty() ? "" : command + " ") + "--help` to see how it is called");
  return kUsage;
}

int run(int argc, char** argv) {
  CLI::App program("GCViT image classification", "gcvit");
  program.require_subcommand(1);
  program.set_version_flag("--version", "gcvit " GCVIT_VERSION);
  const std::vector<Command> commands = {
      add_classify(program),   add_train(program), add_eval(program),    add_info(program),   add_forward(program),
      add_preprocess(program), add_bench(program), add_convert(program), add_export(program), add_pull(program)};
  for (const Command& command : commands) command.app->set_version_flag("--version", "gcvit " GCVIT_VERSION);

  const auto chosen = [&] {
    for (const Command& command : commands) {
      if (*command.app) return &command;
    }
    return static_cast<const Command*>(nullptr);
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return program.exit(request);
  } catch (const CLI::ParseError& error) {
    if (chosen() != nullptr) return usage_error(error.what(), chosen()->app->get_name());
    const bool named = argc > 1 && argv[1][0] != '-';
    return usage_error(named ? "there is no command " + std::string(argv[1]) : error.what(), "");
  }
  try {
    return chosen()->run();
  } catch (const UsageError& error) {
    return usage_error(error.what(), chosen()->app->get_name());
  }
}

}  // namespace
}  // namespace gcvit::cli

int main(int argc, char** argv) {
  using namespace gcvit::cli;
  // A reader that has gone shows as a failed write, so that what is half done can be cleaned up.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const ReaderGone&) {
    return kDone;
  } catch (const gcvit::Error& error) {
    notice(error.what());
  } catch (const std::bad_alloc&) {
    notice("[memory] not enough memory");
  } catch (const std::exception& error) {
    notice(error.what());
  }
  return kFailed;
}
