// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <utility>

#include "data/image_hash.h"
#include "terminal/progress_bar.h"
#include "terminal/style.h"
#include "train/run_log.h"
#include "train/run_watcher.h"

namespace gcvit::train {

/// What a person sees while a model trains, in the form that Keras' users know. On a terminal a bar moves:
///
///     Epoch 3/5
///     57/93 [==========>.....] - ETA 0:41, run 3:52 - 9.4 img/s - loss: 0.4102 - accuracy: 0.8711 - lr: 3.0e-04
///
/// with the time left of the epoch and of the run. The epoch's end replaces it by a line with its time, the validation's result and
/// whether that is the best so far. Elsewhere each epoch is one line. A watcher is told of every step.
class Progress {
 public:
  explicit Progress(RunWatcher watcher = {}) : Progress(stderr) { watcher_ = std::move(watcher); }
  explicit Progress(std::FILE* stream) : stream_(stream), bar_(stream), colour_(wants_colour(stream)) {}
  /// For tests: whether the stream is a terminal, and what time it is.
  Progress(std::FILE* stream, bool terminal, ProgressBar::Clock clock)
      : stream_(stream), bar_(stream, terminal, std::move(clock)) {}

  /// Begins epoch `epoch` (from 1) of `epochs`. `done` of its steps were taken earlier, when the run resumes within it; the run has
  /// `later` steps behind it.
  void begin_epoch(std::int32_t epoch, std::int32_t epochs, std::int64_t steps, std::int64_t done = 0,
                   std::int64_t later = 0);
  /// A step over `images` photos is done, with the learning rate `lr`. `loss` and `accuracy` are the epoch's means so far.
  void step(std::int64_t images, double loss, double accuracy, double lr);
  /// `done` of the `total` validation photos have been evaluated.
  void validate(std::int64_t done, std::int64_t total);
  /// Begins computing the features of `total` photos. Later steps train on features, which says nothing about photos: they have no rate.
  void begin_features(std::int64_t total);
  /// `done` of the photos have their features.
  void features(std::int64_t done);
  /// All readable photos, `done` of them, have their features. Returns the seconds that it took.
  double end_features(std::int64_t done);
  /// `best`: no epoch before had a better validation.
  void end_epoch(const EpochRow& row, bool best);
  /// Photos are hashed before the first step, to split them. The first call starts the time, the last erases the bar.
  void hashes(const data::HashProgress& hashed);
  /// Erases the bar so that something else can be printed.
  void clear() { bar_.clear(); }

 private:
  double run_left(bool validated) const;

  std::FILE* stream_;
  ProgressBar bar_;
  RunWatcher watcher_;
  bool colour_ = false;
  bool on_features_ = false;
  std::int32_t epoch_ = 0;
  std::int32_t epochs_ = 0;
  std::int64_t steps_ = 0;
  std::int64_t before_ = 0;  ///< steps of the epoch that were taken earlier
  std::int64_t done_ = 0;
  std::int64_t later_ = 0;
  std::int64_t images_ = 0;
  double stepped_ = 0.0;  ///< seconds of the epoch until its last step
  double validation_ = 0.0;  ///< seconds behind the last step of an epoch, as the last one had them
};

}  // namespace gcvit::train
