// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "data/image_hash.h"
#include "terminal/status_line.h"
#include "train/run_log.h"

namespace gcvit::train {

/// What a person sees while a model trains, in the form that Keras' users know. On a terminal a bar moves:
///
///     Epoch 3/5
///     57/93 [=================>............] - ETA 0:41 - 9.4 img/s - loss: 0.4102 - accuracy: 0.8711
///
/// and at the epoch's end stays as a line with its time and the validation's outcome. Elsewhere each epoch is one line.
class Progress {
 public:
  using Clock = std::function<double()>;  ///< seconds since whenever

  Progress() : Progress(stderr) {}
  explicit Progress(std::FILE* stream) : stream_(stream), line_(stream) {}
  /// For tests: what is a terminal, and what time it is.
  Progress(std::FILE* stream, bool terminal, Clock clock)
      : stream_(stream), line_(stream, terminal), clock_(std::move(clock)) {}

  /// Epoch `epoch` (from 1) of `epochs` begins; `done` of its steps lie before, in a run that goes on from its middle.
  void begin_epoch(std::int32_t epoch, std::int32_t epochs, std::int64_t steps, std::int64_t done = 0);
  /// A step over `images` photos is done. `loss` and `accuracy` are the epoch's means so far.
  void step(std::int64_t images, double loss, double accuracy);
  /// So many of the `total` validation photos are through.
  void validate(std::int64_t done, std::int64_t total) { pass(done, total, "validating"); }
  /// The features of `total` photos are computed, each once or, with its mirror image, twice. What steps walk over from
  /// then on are features, and their rate is said as such.
  void begin_features(std::int64_t total);
  /// So many of the photos have theirs.
  void features(std::int64_t done);
  /// All that can be read have: `done` photos. Returns the seconds that it took.
  double end_features(std::int64_t done);
  void end_epoch(const EpochRow& row);
  /// Photos are read before the first step, to split them. The first call begins the time, the last takes the bar away.
  void hashes(const data::HashProgress& hashed);
  /// Takes the bar away for something else to be printed.
  void clear() { line_.clear(); }

 private:
  static double now();
  void pass(std::int64_t done, std::int64_t total, const char* what);
  std::string bar(std::int64_t done, std::int64_t total, const std::string& rest) const;

  std::FILE* stream_;
  StatusLine line_;
  Clock clock_ = now;
  const char* unit_ = "img/s";
  std::int32_t epoch_ = 0;
  std::int32_t epochs_ = 0;
  std::int64_t steps_ = 0;
  std::int64_t before_ = 0;  ///< steps of the epoch that this process didn't do
  std::int64_t done_ = 0;
  std::int64_t images_ = 0;
  double start_ = 0.0;  ///< of the epoch, of the features or of the hashes
};

}  // namespace gcvit::train
