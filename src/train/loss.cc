// SPDX-License-Identifier: Apache-2.0
#include "train/loss.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/softmax.h"

namespace gcvit::train {

void write_targets(std::span<const std::int32_t> labels, std::int32_t classes, double smoothing,
                   std::span<float> targets) {
  const auto width = static_cast<std::size_t>(classes);
  const double rest = smoothing / classes;
  std::fill(targets.begin(), targets.end(), static_cast<float>(rest));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      fail("[train] label {}: expected one below {}, the outputs of the head", labels[i], classes);
    }
    targets[i * width + static_cast<std::size_t>(labels[i])] = static_cast<float>(1.0 - smoothing + rest);
  }
}

void cross_entropy(std::span<const float> logits, std::span<const float> targets, std::int32_t classes, double scale,
                   const Distillation& distillation, std::span<double> losses, std::span<float> gradient) {
  const auto width = static_cast<std::size_t>(classes);
  const double a = distillation.teacher.empty() ? 0.0 : distillation.weight;
  const double t = distillation.temperature;
  std::vector<double> log_p(width);
  std::vector<double> log_soft(a > 0.0 ? width : 0);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::size_t row = i * width;
    const std::span<const float> z = logits.subspan(row, width);
    log_softmax(z, 1.0, log_p);
    double loss = 0.0;
    double mass = 0.0;  // of the targets: 1 but for rounding
    for (std::size_t c = 0; c < width; ++c) {
      const double target = targets[row + c];
      loss -= target * log_p[c];
      mass += target;
    }
    loss *= 1.0 - a;
    if (a > 0.0) {
      log_softmax(z, t, log_soft);
      double divergence = 0.0;
      for (std::size_t c = 0; c < width; ++c) {
        const double q = distillation.teacher[row + c];
        if (q > 0.0) divergence += q * (std::log(q) - log_soft[c]);
      }
      loss += a * t * t * divergence;
    }
    losses[i] = loss;
    for (std::size_t c = 0; c < width; ++c) {
      double slope = (1.0 - a) * (mass * std::exp(log_p[c]) - static_cast<double>(targets[row + c]));
      if (a > 0.0) slope += a * t * (std::exp(log_soft[c]) - static_cast<double>(distillation.teacher[row + c]));
      gradient[row + c] = static_cast<float>(scale * slope);
    }
  }
}

}  // namespace gcvit::train
