// SPDX-License-Identifier: Apache-2.0
// Files written at the end of a run: the temperature in best.safetensors, curves.svg and report.html.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "report/run_report.h"
#include "train/checkpoint.h"
#include "train/prepare.h"
#include "train/run_folder.h"

namespace gcvit::train {

/// Quotes a text as one word of a shell's command line, if needed.
std::string shell_word(std::string_view text);

/// The command that resumes the run.
std::string resume_command(const std::string& data, const std::string& folder);

struct ResultsOptions {
  double feature_seconds = 0.0;  ///< time to compute the features of a linear probe
  int threads = 0;
  std::uint64_t max_memory = 0;
  bool explain = true;  ///< show Grad-CAM beside the mistakes
  /// Called with the number of validation photos done; what it throws is passed on, and leaves the files unchanged.
  std::function<void(std::int64_t done)> progress;
};

/// Classifies the validation photos by best.safetensors as `gcvit classify` would, fits a temperature on the logits,
/// stores it in that file, and writes curves.svg and report.html, whose contents it returns. Repeating the call gives the
/// same files. Throws `Error`.
report::RunReport write_results(const RunFolder& folder, const RunState& state, const Prepared& prepared,
                                const ResultsOptions& options);

}  // namespace gcvit::train
