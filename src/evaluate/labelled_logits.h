// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/metrics.h"

namespace gcvit::evaluate {

/// A model's logits for labelled photos, kept for what needs all of them at once: fitting a temperature, finding the most
/// confident mistakes.
class LabelledLogits {
 public:
  explicit LabelledLogits(std::int32_t classes) : classes_(classes) {}

  /// One photo's true class and its logits. Throws `Error` as `Metrics::add` does.
  void add(std::int32_t label, std::span<const float> logits);

  std::int32_t classes() const { return classes_; }
  std::size_t size() const { return labels_.size(); }
  std::int32_t label(std::size_t image) const { return labels_[image]; }
  std::span<const float> logits(std::size_t image) const {
    const auto width = static_cast<std::size_t>(classes_);
    return std::span(logits_).subspan(image * width, width);
  }

  /// Metrics of all of them, with probabilities softmax(logits / temperature).
  Metrics metrics(double temperature = 1.0) const;

 private:
  std::int32_t classes_;
  std::vector<std::int32_t> labels_;
  std::vector<float> logits_;  // photos x classes
};

}  // namespace gcvit::evaluate
