// SPDX-License-Identifier: Apache-2.0
#include "evaluate/labelled_logits.h"

namespace gcvit::evaluate {

void LabelledLogits::add(std::int32_t label, std::span<const float> logits) {
  check_labelled(classes_, label, logits.size());
  labels_.push_back(label);
  logits_.insert(logits_.end(), logits.begin(), logits.end());
}

Metrics LabelledLogits::metrics(double temperature) const {
  Metrics metrics(classes_, temperature);
  for (std::size_t image = 0; image < size(); ++image) metrics.add(label(image), logits(image));
  return metrics;
}

}  // namespace gcvit::evaluate
