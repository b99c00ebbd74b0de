// SPDX-License-Identifier: Apache-2.0
// gcvit: classify photos with GCViT. Exit code 0: success; 1: the command, or a part of it, failed; 2: wrong usage.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <exception>
#include <initializer_list>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/build_options.h"
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

/// Makes the process one that the rest can count on.
void prepare_process() {
  // A closed pipe and a file at its size limit become failed writes (EPIPE, EFBIG), so that partial work is cleaned up and
  // the error reported. A terminal that stops background processes that write to it (stty tostop) doesn't stop a run
  // because of a notice.
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGTTOU}) std::signal(signal, SIG_IGN);
  // The descriptor of a closed standard stream would be reused for the next opened file, and notices written to it. It is
  // occupied by one that can neither be read nor written, so that writing a result to a closed stdout still fails.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", O_PATH) < 0) (void)open("/", O_PATH);
  }
}

/// A subcommand that a CMake option can leave out.
struct Part {
  std::string_view command;
  bool built;
  std::string_view what;
  std::string_view option;
};

constexpr std::array<Part, 5> kParts = {{{"train", kWithTraining, "training", "GCVIT_TRAIN"},
                                         {"convert", kWithConverter, "converter", "GCVIT_CONVERT"},
                                         {"quantize", kWithConverter, "converter", "GCVIT_CONVERT"},
                                         {"export", kWithOnnx, "ONNX export", "GCVIT_ONNX"},
                                         {"pull", kWithHub, "downloads", "GCVIT_HUB"}}};

/// The error for a subcommand that this build leaves out; empty for others.
std::string why_not_built(std::string_view command) {
  for (const Part& part : kParts) {
    if (part.command == command && !part.built) {
      return fmt::format("{}: this build has no {} ({}=OFF)", command, part.what, part.option);
    }
  }
  return "";
}

/// In the order in which help lists them.
std::vector<Command> commands_of_this_build(CLI::App& program) {
  std::vector<Command> commands = {add_classify(program)};
  if constexpr (kWithTraining) commands.push_back(add_train(program));
  commands.push_back(add_eval(program));
  commands.push_back(add_info(program));
  commands.push_back(add_forward(program));
  commands.push_back(add_preprocess(program));
  commands.push_back(add_bench(program));
  if constexpr (kWithConverter) commands.push_back(add_convert(program));
  if constexpr (kWithConverter) commands.push_back(add_quantize(program));
  if constexpr (kWithOnnx) commands.push_back(add_export(program));
  if constexpr (kWithHub) commands.push_back(add_pull(program));
  return commands;
}

int run(int argc, char** argv) {
  CLI::App program("GCViT image classification", "gcvit");
  program.require_subcommand(1);
  program.set_version_flag("--version", "gcvit " GCVIT_VERSION);
  if (argc > 1) {
    if (const std::string sentence = why_not_built(argv[1]); !sentence.empty()) {
      notice(sentence);
      return kUsage;
    }
  }
  const std::vector<Command> commands = commands_of_this_build(program);
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
    std::ostringstream text;
    const int code = program.exit(request, text, text);
    print(text.str());
    return code;
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
  prepare_process();
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
