// SPDX-License-Identifier: Apache-2.0
#include "explain/score.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/softmax.h"
#include "inference/engine.h"
#include "inference/model_state.h"

namespace gcvit::explain {
namespace {

double temperature_of(const Model& model) { return model.state().info.temperature.value_or(1.0); }

}  // namespace

std::int32_t target_class(const Model& model, std::optional<std::int32_t> target, std::span<const float> logits) {
  const std::string wrong = inference::not_finite(logits);
  if (!wrong.empty()) fail("[explain] {}: {}", model.file(), wrong);
  if (!target) return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  if (*target < 0 || *target >= model.classes()) {
    fail(ErrorCode::kNotFound, "[explain] {}: class: expected 0 to {}, found {}", model.file(), model.classes() - 1,
         *target);
  }
  return *target;
}

float score_of(const Model& model, ExplainedScore score, std::int32_t target, std::span<const float> logits) {
  const auto at = static_cast<std::size_t>(target);
  if (score == ExplainedScore::kLogit) return logits[at];
  return static_cast<float>(softmax(logits, temperature_of(model))[at]);
}

std::vector<float> score_gradient(const Model& model, ExplainedScore score, std::int32_t target,
                                  std::span<const float> logits) {
  const auto at = static_cast<std::size_t>(target);
  std::vector<float> gradient(logits.size());
  if (score == ExplainedScore::kLogit) {
    gradient[at] = 1.0f;
    return gradient;
  }
  // d p_k / d z_j = p_k ([k = j] - p_j) / T
  const double temperature = temperature_of(model);
  const std::vector<double> p = softmax(logits, temperature);
  for (std::size_t j = 0; j < p.size(); ++j) {
    gradient[j] = static_cast<float>(p[at] * ((j == at ? 1.0 : 0.0) - p[j]) / temperature);
  }
  return gradient;
}

}  // namespace gcvit::explain
