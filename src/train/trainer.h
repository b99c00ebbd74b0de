// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/loader.h"
#include "evaluate/metrics.h"
#include "ops/training_executor.h"
#include "train/batch_source.h"
#include "train/gradient_sum.h"
#include "train/optimiser.h"
#include "train/recipe.h"
#include "train/soft_labels.h"

namespace gcvit::train {

/// What is trained: the whole model on images, or a head on features.
struct Network {
  std::vector<ops::Parameter*> parameters;  ///< ids 0, 1, 2, ..., each with a tensor of its own
  std::vector<ParameterGroup> groups;       ///< one a parameter
  ops::Shape input;                         ///< of one sample
  std::int32_t classes = 0;
  std::function<ops::Value(ops::Backend& backend, const ops::Value& input)> forward;  ///< to logits
};

/// What one step of the optimiser came to.
struct StepResult {
  std::int64_t images = 0;
  double loss_sum = 0.0;     ///< over the photos
  std::int64_t correct = 0;  ///< photos whose most probable class was their own
  double norm = 0.0;         ///< of the gradient, before clipping
  std::size_t position = 0;  ///< where the next step begins in the epoch's order
};

/// The model's answers on the validation photos.
struct Validation {
  evaluate::Metrics images;
  std::vector<std::size_t> samples;  ///< which photo of the set each is
};

/// Steps and validations of one network. Its numbers depend on (recipe, weights, photos) alone: batches go through in
/// slices of `slice_images`, whose gradients are summed in a fixed tree, and random numbers are those of (seed, step,
/// sample).
class Trainer {
 public:
  using Skipped = std::function<void(const data::SkippedSample& skipped)>;

  /// `soft` may be null, else it must outlive the trainer. `skipped` is called with photos that can't be read.
  Trainer(Network network, const Recipe& recipe, const SoftLabels* soft,
          std::unique_ptr<ops::TrainingExecutor> executor, Skipped skipped);

  Optimiser& optimiser() { return optimiser_; }
  const Network& network() const { return network_; }

  /// Brings the parameters' tensors up to date with the steps that were made: before anyone else reads them.
  void update_tensors() { executor_->update_tensors(network_.parameters); }

  /// Photos of a step: batch_size * grad_accum.
  std::int64_t images_per_step() const { return std::int64_t{recipe_.batch_size} * recipe_.grad_accum; }

  /// Step `step` (from 0) on the next photos of the source, `expected` of them unless some can't be read; nothing when
  /// none is left. Throws `Error` when the loss or the gradient isn't finite, before any weight is changed.
  std::optional<StepResult> step(BatchSource& source, std::int64_t step, std::int64_t expected, double lr);

  /// Throws `Error` when the last step diverged, which no loss after it has shown yet: when a weight or a number of the
  /// optimiser isn't finite, or the logits of the step's first photos under the weights it left, and under their average
  /// if `average`, aren't. Does nothing where no step was made, or where the last one has been looked at.
  void check_last_step(bool average);

  /// With the weights as they are. Throws `Error` when a logit isn't finite. `progress` is called with the photos that are through.
  Validation validate(BatchSource& source, const std::function<void(std::int64_t done)>& progress);

 private:
  void accumulate(data::Batch& batch, std::int64_t step, std::int32_t turn, double scale, StepResult& result);
  void run_slice(std::span<const float> images, std::span<const std::size_t> samples, std::span<const float> targets,
                 std::span<const float> teacher, std::int64_t step, double scale, StepResult& result);
  bool keeps_branch(std::int64_t step, std::size_t sample, std::int32_t branch, float drop_path) const;
  /// The logits of a slice of images or fewer, as evaluation computes them; they last until the executor's next run.
  std::span<const float> logits_of(std::span<const float> images);
  void check_numbers();
  void check_last_logits();
  [[noreturn]] void fail_not_finite(std::string_view what, double value, std::int64_t step, double lr) const;
  /// The same behind the step's update of the weights.
  [[noreturn]] void fail_diverged(std::string_view what, double value) const;
  [[noreturn]] void fail_step(std::string_view what, double value, std::int64_t step, double lr,
                              std::string_view advice) const;
  std::string advice_on_rate() const;

  Network network_;
  Recipe recipe_;
  const SoftLabels* soft_;
  Skipped skipped_;
  std::unique_ptr<ops::TrainingExecutor> executor_;
  Optimiser optimiser_;
  GradientSum gradients_;
  std::vector<bool> trainable_;
  data::Batch batch_;
  std::vector<float> targets_;
  std::vector<float> teacher_;
  std::vector<float> slope_;
  std::vector<double> losses_;
  /// The last step of the optimiser that this object made.
  struct LastStep {
    std::int64_t step;
    double lr;
    bool checked = false;
    bool average_checked = false;
  };
  std::optional<LastStep> last_;
  std::vector<float> first_images_;  ///< the first slice of the running step, or of the last
  std::deque<double> recent_;  ///< mean losses of the last steps, for a person when something breaks
};

}  // namespace gcvit::train
