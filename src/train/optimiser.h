// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ops/training_executor.h"
#include "train/parameter_groups.h"
#include "train/recipe.h"

namespace gcvit::train {

/// PyTorch's Adam, AdamW and SGD (Keras' Adam by the recipe's adam_form), its clip_grad_norm_, and the exponential
/// moving average of the weights: what they do to each parameter in a step, which the executor then does.
///
/// Muon is torch.optim.Muon with Nesterov, its update scaled to the size of AdamW's, 0.2 sqrt of the larger side; a
/// parameter that isn't a matrix gets AdamW.
///
/// The average starts as the weights; update t (from 0) moves it by 1 - min(ema_decay, (1 + t) / (10 + t)), so that the
/// first steps don't keep the start, as TensorFlow's ExponentialMovingAverage with num_updates.
class Optimiser {
 public:
  /// `parameters` have tensors of their own that can be written, and outlive the optimiser, as `executor` does; a group each.
  Optimiser(const Recipe& recipe, std::span<ops::Parameter* const> parameters, std::vector<ParameterGroup> groups,
            ops::TrainingExecutor& executor);

  const std::vector<ParameterGroup>& groups() const { return groups_; }
  /// The norm of all trainable parameters' gradients together; not finite when one of them isn't.
  double gradient_norm(const ops::ParameterVector& gradients);
  /// Updates the weights in place. `norm`: the gradients' norm, which clipping goes by: they are multiplied by
  /// min(1, clip_grad / (norm + 1e-6)).
  void step(const ops::ParameterVector& gradients, double lr, double norm);

  bool has_average() const { return average_ != nullptr; }
  /// Exchanges the weights with their average.
  void swap_average();

  /// What a checkpoint keeps of it.
  struct Slot {
    std::string name;  ///< "m", "v", "momentum" or "ema"
    ops::ParameterVector* values;
  };
  std::vector<Slot> slots();
  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  ops::Update update_of(std::size_t index, double lr) const;

  Recipe recipe_;
  ops::TrainingExecutor& executor_;
  std::vector<ops::Parameter*> parameters_;
  std::vector<ops::Parameter*> trained_;
  std::vector<ParameterGroup> groups_;
  std::vector<ops::Update> updates_of_step_;
  std::unique_ptr<ops::ParameterVector> first_;  ///< m, or sgd's momentum
  std::unique_ptr<ops::ParameterVector> second_;  ///< v
  std::unique_ptr<ops::ParameterVector> average_;
  std::int64_t updates_ = 0;
};

/// The model has its averaged weights while this lives, where there are any.
class WithAverage {
 public:
  explicit WithAverage(Optimiser& optimiser) : optimiser_(optimiser) { swap(); }
  ~WithAverage() { swap(); }
  WithAverage(const WithAverage&) = delete;
  WithAverage& operator=(const WithAverage&) = delete;

 private:
  void swap() {
    if (optimiser_.has_average()) optimiser_.swap_average();
  }
  Optimiser& optimiser_;
};

}  // namespace gcvit::train
