// SPDX-License-Identifier: Apache-2.0
//   loss = (1 - a) CE(target, softmax(z)) + a T^2 KL(softmax(teacher / T) || softmax(z / T))
// CE is PyTorch's cross_entropy with class probabilities (Keras' CategoricalCrossentropy of logits); the second part is
// distillation (Hinton et al. 2015; the soft kind of DeiT), only with a teacher.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gcvit::train {

/// One-hot rows of `labels`, smoothed: the true class has 1 - s + s / classes, each other s / classes. Writes
/// [labels, classes] to `targets`. Throws `Error` on a label outside [0, classes).
void write_targets(std::span<const std::int32_t> labels, std::int32_t classes, double smoothing,
                   std::span<float> targets);

struct Distillation {
  std::span<const float> teacher;  ///< [B, classes]: probabilities at `temperature`
  double temperature = 1.0;
  double weight = 0.0;  ///< a
};

/// From B images' logits and targets, both [B, classes], to each image's loss (`losses`, B of them) and `scale` times
/// d loss / d logits (`gradient`, [B, classes]). Computed in double; no image's numbers depend on another's. A loss is
/// not finite where logits aren't.
void cross_entropy(std::span<const float> logits, std::span<const float> targets, std::int32_t classes, double scale,
                   const Distillation& distillation, std::span<double> losses, std::span<float> gradient);

}  // namespace gcvit::train
