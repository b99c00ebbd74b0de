// SPDX-License-Identifier: Apache-2.0
// The program's subcommands, a file each.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

namespace gcvit::cli {

/// A subcommand: `app` holds its arguments, `run` executes it and returns the exit code.
struct Command {
  CLI::App* app;
  std::function<int()> run;
};

Command add_info(CLI::App& program);
Command add_classify(CLI::App& program);
Command add_preprocess(CLI::App& program);
Command add_forward(CLI::App& program);
Command add_eval(CLI::App& program);
Command add_explain(CLI::App& program);
Command add_features(CLI::App& program);
Command add_similar(CLI::App& program);
Command add_train(CLI::App& program);
Command add_bench(CLI::App& program);
Command add_convert(CLI::App& program);
Command add_quantize(CLI::App& program);
Command add_pull(CLI::App& program);
Command add_export(CLI::App& program);
Command add_serve(CLI::App& program);
/// help, version, completion and man, which describe the commands of the program.
std::vector<Command> add_about(CLI::App& program);

}  // namespace gcvit::cli
