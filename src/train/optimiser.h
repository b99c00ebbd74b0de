// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "native/parameter_vector.h"
#include "base/thread_pool.h"
#include "train/muon.h"
#include "train/parameter_groups.h"
#include "train/recipe.h"

namespace gcvit::train {

/// PyTorch's Adam, AdamW and SGD (Keras' Adam by the recipe's adam_form), its clip_grad_norm_, and the exponential
/// moving average of the weights, all in one pass over the parameters. An element's numbers depend on the element alone:
/// the same bits on any number of threads.
///
/// Muon (torch.optim.Muon with Nesterov and its update scaled to AdamW's size, 0.2 sqrt of the larger side): a matrix'
/// momentum goes through Orthogonaliser; what is no matrix gets AdamW.
///
/// The average starts as the weights; update t (from 0) moves it by 1 - min(ema_decay, (1 + t) / (10 + t)), so that the
/// first steps don't keep the start, as TensorFlow's ExponentialMovingAverage with num_updates.
class Optimiser {
 public:
  /// `parameters` have tensors of their own that can be written, and outlive the optimiser, as `pool` does; a group each.
  Optimiser(const Recipe& recipe, std::span<ops::Parameter* const> parameters, std::vector<ParameterGroup> groups,
            ThreadPool& pool);

  const std::vector<ParameterGroup>& groups() const { return groups_; }
  /// The norm of all trainable parameters' gradients together; not finite when one of them isn't.
  double gradient_norm(const native::ParameterVector& gradients);
  /// Updates the weights in place. `norm`: the gradients' norm, which clipping goes by: they are multiplied by
  /// min(1, clip_grad / (norm + 1e-6)).
  void step(const native::ParameterVector& gradients, double lr, double norm);

  bool has_average() const { return average_ != nullptr; }
  /// Exchanges the weights with their average.
  void swap_average();

  /// What a checkpoint keeps of it.
  struct Slot {
    std::string name;  ///< "m", "v", "momentum" or "ema"
    native::ParameterVector* values;
  };
  std::vector<Slot> slots();
  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  void step_matrix(std::size_t index, const native::ParameterVector& gradients, double rate, double clip,
                   double ema_decay);

  /// A part of one parameter that one worker takes.
  struct Piece {
    std::size_t parameter;
    std::size_t begin;
    std::size_t count;
  };

  Recipe recipe_;
  std::vector<ops::Parameter*> parameters_;
  std::vector<ParameterGroup> groups_;
  ThreadPool& pool_;
  std::vector<Piece> pieces_;
  std::vector<double> squares_;  ///< by piece
  std::vector<std::span<float>> weights_;  ///< by parameter, of the running step
  native::ParameterVector first_;  ///< m, or sgd's momentum
  native::ParameterVector second_;  ///< v
  std::unique_ptr<native::ParameterVector> average_;
  std::int64_t updates_ = 0;
  Orthogonaliser orthogonaliser_;
  std::vector<float> matrix_;  ///< of the running step
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
