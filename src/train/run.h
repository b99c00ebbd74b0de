// SPDX-License-Identifier: Apache-2.0
// A training run from its first step, or from where its checkpoint stands, to its last, with all that it leaves in its
// folder: config.json, log.csv, steps.csv, best.safetensors, last.safetensors, checkpoint/.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "train/prepare.h"
#include "train/recipe.h"
#include "train/run_folder.h"
#include "train/run_watcher.h"

namespace gcvit::train {

struct RunOptions {
  std::string data;
  Start start;          ///< of a new run
  std::string weights;  ///< how the command line named the start, for config.json and a later resume
  Recipe recipe;        ///< of a new run
  /// A new run's warm-up stays as the recipe has it, however short the run; else it is a fifth of the steps at most.
  bool keep_warmup = false;
  std::int32_t epochs = 0;  ///< that a run which goes on ends after, where its rate is constant; 0: as it began
  int threads = 0;      ///< 0: every processor this process may use
  std::uint64_t max_memory = 0;  ///< bytes that training may take; 0 for `default_memory_limit()`
  double checkpoint_minutes = 5.0;
  bool explain = true;  ///< the report shows Grad-CAM beside the mistakes; a run that goes on doesn't know how it began
  std::function<bool()> stop = [] { return false; };  ///< true: finish the step, write the checkpoint and return
  Notice notice = [](std::string_view) {};
  RunWatcher watcher;
};

enum class Outcome { kFinished, kStopped };

/// Begins a run in `folder`, which is made as late as can be: all that the arguments name is opened first. Throws `Error`
/// when anything goes wrong: before the first step nothing is left of the run, behind it what was saved stays.
Outcome start_run(const std::string& folder, const RunOptions& options);

/// Goes on where the folder's checkpoint stands: the weights at the end are, bit for bit, those of a run that was never
/// interrupted. The folder is open. `options.start` and `.recipe` are not looked at. In a run that is at its end it writes
/// the results again, unless `options.epochs` lengthens it: then it ends as one that began with so many.
Outcome resume_run(RunFolder& folder, const RunOptions& options, const Checkpoint& checkpoint);

}  // namespace gcvit::train
