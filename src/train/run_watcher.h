// SPDX-License-Identifier: Apache-2.0
// What a program that follows a run is told. Every function returns before the run goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "train/run_log.h"

namespace gcvit::train {

struct RunStart {
  std::int32_t epochs = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t steps = 0;       ///< of the whole run
  std::int32_t epochs_done = 0;  ///< earlier, when the run resumes
  std::int64_t steps_done = 0;  ///< likewise
  std::size_t train_photos = 0;
  std::size_t validation_photos = 0;
  std::int32_t classes = 0;
};

struct RunStep {
  std::int32_t epoch = 0;  ///< from 1
  std::int64_t step = 0;   ///< of the epoch, from 1
  std::int64_t steps = 0;  ///< of the epoch
  double loss = 0.0;       ///< mean of the epoch so far; so is the accuracy
  double accuracy = 0.0;
  double lr = 0.0;
};

struct RunWatcher {
  std::function<void(const RunStart&)> started = [](const RunStart&) {};
  std::function<void(const RunStep&)> stepped = [](const RunStep&) {};
  /// The epoch's files are written. `best`: its weights are those of best.safetensors now.
  std::function<void(const EpochRow&, bool best)> epoch_ended = [](const EpochRow&, bool) {};
  /// `done` of `total` photos: "hashes" to split them, "features" of a linear probe, "validation".
  std::function<void(std::string_view what, std::int64_t done, std::int64_t total)> progressed =
      [](std::string_view, std::int64_t, std::int64_t) {};
};

}  // namespace gcvit::train
