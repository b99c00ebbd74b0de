// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gcvit/explain.h"

namespace gcvit::explain {

/// The class asked for, or the most probable one, the lower index first among equals. Throws `Error` of code kNotFound where the model
/// has no such class, and when a logit isn't finite.
std::int32_t target_class(const Model& model, std::optional<std::int32_t> target, std::span<const float> logits);

/// The class's logit or probability.
float score_of(const Model& model, ExplainedScore score, std::int32_t target, std::span<const float> logits);

/// d score / d logit, of each class.
std::vector<float> score_gradient(const Model& model, ExplainedScore score, std::int32_t target,
                                  std::span<const float> logits);

}  // namespace gcvit::explain
