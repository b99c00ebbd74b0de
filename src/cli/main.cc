// SPDX-License-Identifier: Apache-2.0
// gcvit: classify photos with GCViT. Exit code 0: success; 1: the command, or a part of it, failed; 2: wrong usage.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/build_options.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/events.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/unknown_words.h"
#include "gcvit/error.h"
#include "gcvit/version.h"

namespace gcvit::cli {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int usage_error(std::string_view sentence, const std::string& command) {
  notice_failure(ErrorCode::kInvalidArgument, sentence);
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

void open_events(std::string_view number) {
  int descriptor = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), descriptor);
  const bool valid = error == std::errc() && end == number.data() + number.size() && descriptor >= 0;
  if (!valid) throw UsageError(fmt::format("--events: expected the number of a file descriptor, found {}", number));
  if (!send_events_to(descriptor)) {
    notice(fmt::format("--events: descriptor {} isn't open: no events are written", descriptor));
  }
}

/// Does what the flags before COMMAND ask for, ahead of the command line's other checks, whose sentences are events too. Returns the
/// place of the first word behind them.
int obey_leading_flags(int argc, char** argv) {
  int next = 1;
  for (; next < argc; ++next) {
    const std::string_view word = argv[next];
    if (word == kWithParentFlag) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    } else if (word == kEventsFlag && next + 1 < argc) {
      open_events(argv[++next]);
    } else if (word.starts_with(std::string(kEventsFlag) + "=")) {
      open_events(word.substr(std::strlen(kEventsFlag) + 1));
    } else {
      break;
    }
  }
  return next;
}

/// In the order in which help lists them.
std::vector<Command> commands_of_this_build(CLI::App& program) {
  std::vector<Command> commands = {add_classify(program)};
  if constexpr (kWithTraining) commands.push_back(add_train(program));
  commands.push_back(add_eval(program));
  commands.push_back(add_explain(program));
  commands.push_back(add_features(program));
  commands.push_back(add_similar(program));
  commands.push_back(add_info(program));
  commands.push_back(add_forward(program));
  commands.push_back(add_preprocess(program));
  commands.push_back(add_bench(program));
  if constexpr (kWithConverter) commands.push_back(add_convert(program));
  if constexpr (kWithConverter) commands.push_back(add_quantize(program));
  if constexpr (kWithOnnx) commands.push_back(add_export(program));
  if constexpr (kWithServer) commands.push_back(add_serve(program));
  if constexpr (kWithHub) commands.push_back(add_pull(program));
  for (const Command& command : commands) command.app->group("Commands");
  for (const Command& command : add_about(program)) commands.push_back(command);
  return commands;
}

int run(int argc, char** argv) {
  CLI::App program("GCViT image classification: runs, trains and converts global context vision transformers", "gcvit");
  const auto describe_common_flags = [](CLI::App& app) {
    app.set_help_flag("-h,--help", "Print this help");
    app.set_version_flag("--version", "gcvit " GCVIT_VERSION, "Print the program's version");
  };
  describe_common_flags(program);
  const std::vector<Command> commands = commands_of_this_build(program);
  for (const Command& command : commands) describe_common_flags(*command.app);
  int events = 0;
  program.add_option(kEventsFlag, events, kEventsText)->type_name("FD");
  program.add_flag(kWithParentFlag, kWithParentText);
  int first = 1;
  try {
    first = obey_leading_flags(argc, argv);
  } catch (const UsageError& error) {
    return usage_error(error.what(), "");
  }
  if (argc <= first) return usage_error("expected a command, found none", "");
  if (const std::string sentence = why_not_built(argv[first]); !sentence.empty()) {
    notice_failure(ErrorCode::kUnsupported, sentence);
    return kUsage;
  }
  if (argv[first][0] != '-') {
    if (const std::string sentence = why_no_command(program, argv[first]); !sentence.empty()) {
      return usage_error(sentence, "");
    }
  }
  program.require_subcommand(1);

  const auto chosen = [&] {
    for (const Command& command : commands) {
      if (*command.app) return &command;
    }
    return static_cast<const Command*>(nullptr);
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(chosen() == nullptr ? help_of_program(program, help_width())
                              : help_of_command(describe(*chosen()->app), help_width()));
    return kDone;
  } catch (const CLI::Success& request) {  // --version
    std::ostringstream text;
    const int code = program.exit(request, text, text);
    print(text.str());
    return code;
  } catch (const CLI::ParseError& error) {
    const CLI::App& app = chosen() == nullptr ? program : *chosen()->app;
    const std::string unknown_flag = why_no_flag(app);
    return usage_error(unknown_flag.empty() ? error.what() : unknown_flag, chosen() == nullptr ? "" : app.get_name());
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
    notice_failure(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    notice_failure(gcvit::ErrorCode::kOutOfBudget, "[memory] not enough memory");
  } catch (const std::exception& error) {
    notice_failure(gcvit::ErrorCode::kIo, error.what());
  }
  return kFailed;
}
