// SPDX-License-Identifier: Apache-2.0
// What an optimiser's step does to weights, in one pass over all of them, and what it asks of a gradient before.
#pragma once

#include <cstdint>

namespace gcvit::kernels {

/// The numbers are double so that 1 - beta is exact before it becomes a float.
struct AdamStep {
  double step_size = 0.0;       ///< learning rate * sqrt(1 - beta2^t) / (1 - beta1^t) in step t = 1, 2, ...
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;        ///< PyTorch's * sqrt(1 - beta2^t), or Keras' as it is
  double weight_decay = 0.0;    ///< added to the gradient, times the weight: Adam's
  double decay = 0.0;           ///< the share of the weight that is taken off: learning rate * weight decay of AdamW
  double gradient_scale = 1.0;  ///< of a clipped norm
  double ema_decay = 0.0;
};

/// g = gradient * gradient_scale + weight_decay * weight; weight *= 1 - decay; m = beta1 m + (1 - beta1) g;
/// v = beta2 v + (1 - beta2) g^2; weight -= step_size m / (sqrt(v) + epsilon);
/// ema = ema_decay ema + (1 - ema_decay) weight, unless `ema` is null. With the corrections of m and v in step_size and
/// epsilon this is torch.optim.Adam and AdamW or keras.optimizers.Adam and AdamW.
void adam_step(const AdamStep& step, std::int64_t count, const float* gradient, float* weight, float* m, float* v,
               float* ema);

struct SgdStep {
  double learning_rate = 0.0;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;  ///< added to the gradient, times the weight
  double gradient_scale = 1.0;  ///< of a clipped norm
  double ema_decay = 0.0;
};

/// g = gradient * gradient_scale + weight_decay * weight; b = momentum b + g; weight -= learning_rate b, or with
/// Nesterov learning_rate (g + momentum b); ema as above. This is torch.optim.SGD without dampening. `b` starts from
/// zeros; null means no momentum.
void sgd_step(const SgdStep& step, std::int64_t count, const float* gradient, float* weight, float* b, float* ema);

/// The sum of squares, added in double.
double squared_norm(const float* x, std::int64_t count);

/// Whether none is infinite or NaN.
bool all_finite(const float* x, std::int64_t count);

}  // namespace gcvit::kernels
