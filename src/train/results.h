// SPDX-License-Identifier: Apache-2.0
// What a run's end adds to its folder: the temperature in best.safetensors, curves.svg and report.html.
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

/// A text as one word of a shell's command line.
std::string shell_word(std::string_view text);

/// The command that goes on with the run.
std::string resume_command(const std::string& data, const std::string& folder);

/// Takes the validation photos through best.safetensors as `gcvit classify` would, fits a temperature on its answers,
/// stores it in that file, and writes curves.svg and report.html, whose contents it returns. `progress` is called with
/// the validation photos that are through; what it throws comes out, and leaves the files as they were. The same again
/// for the same folder. `feature_seconds`: what the features of a linear probe took. Throws `Error`.
report::RunReport write_results(const RunFolder& folder, const RunState& state, const Prepared& prepared,
                                double feature_seconds, int threads, std::uint64_t max_memory,
                                const std::function<void(std::int64_t done)>& progress);

}  // namespace gcvit::train
