// SPDX-License-Identifier: Apache-2.0
#include "train/gradient_sum.h"

#include <utility>

#include "base/error.h"

namespace gcvit::train {

GradientSum::GradientSum(std::span<const ops::Parameter* const> parameters, ops::TrainingExecutor& executor)
    : parameters_(parameters.begin(), parameters.end()), executor_(executor) {}

GradientSum::Vector GradientSum::take() {
  if (free_.empty()) return executor_.make_vector(parameters_);
  Vector vector = std::move(free_.back());
  free_.pop_back();
  return vector;
}

ops::ParameterVector& GradientSum::next() {
  if (total_) free_.push_back(std::move(total_));
  if (!current_) current_ = take();
  return *current_;
}

void GradientSum::add() {
  if (!current_) fail("[train] a slice's gradient was added before it was asked for");
  Vector sum = std::move(current_);
  for (std::size_t level = 0;; ++level) {
    if (level == levels_.size()) levels_.emplace_back();
    if (!levels_[level]) {
      levels_[level] = std::move(sum);
      return;
    }
    Vector earlier = std::move(levels_[level]);
    executor_.add(*earlier, *sum);
    free_.push_back(std::move(sum));
    sum = std::move(earlier);
  }
}

ops::ParameterVector& GradientSum::finish() {
  Vector sum;
  for (Vector& level : levels_) {
    if (!level) continue;
    Vector part = std::move(level);
    if (sum) {
      executor_.add(*part, *sum);  // the earlier slices stand in the higher level
      free_.push_back(std::move(sum));
    }
    sum = std::move(part);
  }
  if (!sum) fail("[train] expected the gradient of at least one slice");
  total_ = std::move(sum);
  return *total_;
}

}  // namespace gcvit::train
