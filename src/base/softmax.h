// SPDX-License-Identifier: Apache-2.0
// Softmax of one image's logits, for results and losses; the kernels have their own inside attention.
#pragma once

#include <span>
#include <vector>

namespace gcvit {

/// softmax(logits / temperature), computed in double after subtracting the largest logit. One logit at least.
std::vector<double> softmax(std::span<const float> logits, double temperature = 1.0);

/// Writes log(softmax(logits / temperature)) to `out`, as long as `logits`.
void log_softmax(std::span<const float> logits, double temperature, std::span<double> out);

/// The denominator of the above: the sum of exp((logit - largest logit) / temperature).
double softmax_denominator(std::span<const float> logits, double temperature = 1.0);

}  // namespace gcvit
