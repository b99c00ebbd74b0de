// SPDX-License-Identifier: Apache-2.0
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace gcvit::train {

Schedule::Schedule(const Recipe& recipe, std::int64_t steps_per_epoch)
    : cosine_(recipe.sched == "cosine"), lr_(recipe.lr), min_lr_(recipe.min_lr) {
  if (steps_per_epoch < 1) fail("[train] expected at least one step an epoch, found {}", steps_per_epoch);
  steps_ = recipe.epochs * steps_per_epoch;
  if (recipe.max_steps > 0) steps_ = std::min(steps_, recipe.max_steps);
  const double warmup =
      std::min(recipe.warmup_epochs * static_cast<double>(steps_per_epoch), static_cast<double>(steps_));
  warmup_ = std::llround(warmup);
}

double Schedule::lr(std::int64_t step) const {
  if (step < warmup_) return lr_ * static_cast<double>(step + 1) / static_cast<double>(warmup_);
  if (!cosine_ || steps_ == warmup_) return lr_;
  const double way = static_cast<double>(std::min(step, steps_) - warmup_) / static_cast<double>(steps_ - warmup_);
  return min_lr_ + 0.5 * (lr_ - min_lr_) * (1.0 + std::cos(std::numbers::pi * way));
}

}  // namespace gcvit::train
