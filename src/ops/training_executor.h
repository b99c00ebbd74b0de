// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "ops/executor.h"
#include "ops/parameter.h"

namespace gcvit::ops {

/// One float for every element of every parameter of a model: its gradients, a moment of the optimiser, averaged weights.
/// It lies where the executor that made it computes.
class ParameterVector {
 public:
  ParameterVector() = default;
  virtual ~ParameterVector() = default;

  /// A parameter's elements in the layout of `Parameter::dims`; valid until the vector changes. Throws `Error` when
  /// the parameter isn't one of the model's.
  virtual std::span<const float> read(const Parameter& parameter) const = 0;
  /// Replaces a parameter's elements by `values`, as many (else throws `Error`).
  virtual void write(const Parameter& parameter, std::span<const float> values) = 0;

 protected:
  ParameterVector(const ParameterVector&) = default;
  ParameterVector(ParameterVector&&) = default;
  ParameterVector& operator=(const ParameterVector&) = default;
  ParameterVector& operator=(ParameterVector&&) = default;
};

/// What a step of the optimiser does to each weight w of a parameter. g is the weight's gradient times the step's
/// gradient_scale, m and v its first and second moment.
///
/// g += weight_decay w; m = momentum m + g; w -= learning_rate m. Without a first moment m is g.
struct SgdUpdate {
  double learning_rate = 0.0;
  double momentum = 0.0;
  double weight_decay = 0.0;
};
/// g += weight_decay w; w *= 1 - decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
/// w -= step_size m / (sqrt(v) + epsilon). The corrections of the moments' bias are in step_size and epsilon.
struct AdamUpdate {
  double step_size = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  double decay = 0.0;
};
/// m = momentum m + (1 - momentum) g; w = (1 - decay) w - step_size O(momentum m + (1 - momentum) g), where O moves all
/// singular values of the matrix [dims[0]][the rest] close to 1: from its Frobenius norm 1, five times
/// X <- 3.4445 X + (-4.7750 A + 2.0315 A^2) X with A = X X^T, X having no more rows than columns.
struct MuonUpdate {
  double step_size = 0.0;
  double momentum = 0.0;
  double decay = 0.0;
};
/// Nothing happens to a frozen parameter.
using Update = std::variant<std::monostate, SgdUpdate, AdamUpdate, MuonUpdate>;

/// One step of the optimiser over a model.
struct OptimiserStep {
  std::span<Parameter* const> parameters;
  std::span<const Update> updates;  ///< one for each parameter
  const ParameterVector& gradients;
  double gradient_scale = 1.0;
  ParameterVector* first = nullptr;  ///< m; null without momentum
  ParameterVector* second = nullptr;  ///< v; null unless a parameter has an AdamUpdate
  ParameterVector* average = nullptr;  ///< becomes ema_decay average + (1 - ema_decay) w with the new w; null for none
  double ema_decay = 0.0;
};

/// An executor that can train. Gradients, the optimiser's moments and averaged weights stay where it computes; so may the
/// weights between two calls of `update_tensors`.
class TrainingExecutor : public Executor {
 public:
  /// What a training run needs to know beyond the batch.
  struct Training {
    /// Whether image `image` of the batch keeps the residual branch that is the run's `branch`-th (two a block, in the
    /// order of computing), which is dropped with chance `drop_path`. Called for every image where that isn't 0; without
    /// a function all are kept.
    std::function<bool(std::int32_t image, std::int32_t branch, float drop_path)> keeps_branch;
    /// By parameter id: which parameters get a gradient; empty for all.
    std::vector<bool> trainable;
    /// Keep only the inputs of a block's sub-layers and compute the rest again in `backward`: less memory, more time.
    bool recompute_sublayers = false;
  };
  /// Begins a run like `start`, whose operations are recorded for `backward`. What a backward needs is kept until then,
  /// or until the next start.
  virtual void start_training(std::int32_t batch, Training training) = 0;
  /// From d loss / d `value` (all images' floats) to d loss / d parameter, summed over the images: written to
  /// `gradients` for each trainable parameter, the others' stay as they are. Ends the recording. The order of the sums
  /// depends on shapes alone.
  virtual void backward(const Value& value, std::span<const float> gradient, ParameterVector& gradients) = 0;
  /// Makes `backward` keep the gradient of `value`, made in this training run, for `gradient_of`. An input's is only
  /// computed when it is retained.
  virtual void retain_grad(const Value& value) = 0;
  /// The retained gradient that `backward` left for a value, all images' floats; valid until the next start.
  virtual std::span<const float> gradient_of(const Value& value) const = 0;

  /// Zeros for a model's parameters: ids 0, 1, 2, ... (else throws `Error`). The operations below take the vectors of
  /// this kind of executor alone (else throw `Error`).
  virtual std::unique_ptr<ParameterVector> make_vector(std::span<const Parameter* const> parameters) = 0;
  /// to += from.
  virtual void add(ParameterVector& to, const ParameterVector& from) = 0;
  /// vector *= factor.
  virtual void scale(ParameterVector& vector, float factor) = 0;
  /// The Euclidean norm of all elements of `parameters` together; not finite when one of them isn't.
  virtual double norm(const ParameterVector& vector, std::span<const Parameter* const> parameters) = 0;
  /// Updates the weights and counts the versions of the updated parameters on.
  virtual void step(const OptimiserStep& step) = 0;
  /// Exchanges the weights of `parameters` with those in `vector` and counts their versions on.
  virtual void swap(ParameterVector& vector, std::span<Parameter* const> parameters) = 0;
  /// Brings the parameters' tensors up to date. An executor whose steps change the tensors themselves does nothing.
  virtual void update_tensors(std::span<Parameter* const> parameters) = 0;
};

}  // namespace gcvit::ops
