// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "train/recipe.h"

namespace gcvit::train {

/// The learning rate of every step, numbered from 0: over the first `warmup` steps it grows linearly, lr (s + 1) /
/// warmup, and then stays (constant) or falls along half a cosine (PyTorch's CosineAnnealingLR) that would reach
/// `min_lr` at step `steps`, one behind the last.
class Schedule {
 public:
  Schedule(const Recipe& recipe, std::int64_t steps_per_epoch);

  /// Steps of the whole run: epochs * steps_per_epoch, or `max_steps` when that is less.
  std::int64_t steps() const { return steps_; }
  std::int64_t warmup_steps() const { return warmup_; }
  double lr(std::int64_t step) const;

 private:
  bool cosine_;
  double lr_;
  double min_lr_;
  std::int64_t steps_;
  std::int64_t warmup_;
};

}  // namespace gcvit::train
