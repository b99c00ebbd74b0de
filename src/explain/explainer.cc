// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "base/error.h"
#include "explain/attention.h"
#include "explain/class_name.h"
#include "explain/grad_cam.h"
#include "explain/occlusion.h"
#include "gcvit/explain.h"
#include "inference/executors.h"
#include "inference/model_state.h"
#include "inference/session_state.h"
#include "model/gcvit.h"
#include "model/tensor_table.h"
#include "native/packed_parameters.h"

namespace gcvit {

std::string_view name_of(ExplainMethod method) {
  switch (method) {
    case ExplainMethod::kGradCam: return "grad-cam";
    case ExplainMethod::kAttention: return "attention";
    case ExplainMethod::kOcclusion: return "occlusion";
  }
  return "";
}

std::string_view name_of(ExplainedScore score) { return score == ExplainedScore::kLogit ? "logit" : "probability"; }

struct Explainer::State {
  Session session;
  std::unique_ptr<ops::TrainingExecutor> executor;  ///< made when it is needed
  std::shared_ptr<native::PackedParameters::GradientForms> gradient_weights;  ///< kept for the next call, or null
  std::vector<float> head;  ///< the last layer's weights, made when they are needed

  State(Model model, const SessionOptions& options) : session(std::move(model), options) {}

  const Model& model() const { return session.model(); }
  ThreadPool& pool() { return session.state().engine.pool(); }

  void check_input(std::span<const float> tensor) const {
    if (tensor.size() != session.tensor_size()) {
      fail("[explain] tensor: expected one input of {}x{}x3 = {} floats, found {}", model().image_height(),
           model().image_width(), session.tensor_size(), tensor.size());
    }
  }

  void check_level(std::int32_t level) const {
    if (level < 1 || level > model::kLevels) {
      fail("[explain] {}: level: expected 1 to {}, found {}", model().file(), model::kLevels, level);
    }
  }

  ops::TrainingExecutor& differentiating() {
    if (executor == nullptr) executor = inference::make_differentiating_executor(model(), pool());
    return *executor;
  }

  std::span<const float> head_weights() {
    if (!head.empty()) return head;
    for (const ops::Parameter* parameter : model().state().model->parameters()) {
      const bool is_head = model::find_tensor(parameter->name)->row->part == model::Part::kHead;
      if (!is_head || parameter->role != ops::Role::kLinear) continue;
      const Tensor weights = parameter->tensor.empty() ? model().state().packed->unpack(*parameter)
                                                       : ops::to_f32({parameter->tensor, parameter->scales});
      head.assign(weights.values().begin(), weights.values().end());
    }
    return head;
  }
};

Explainer::Explainer(Model model, const SessionOptions& options)
    : state_(std::make_unique<State>(std::move(model), options)) {}
Explainer::~Explainer() = default;
Explainer::Explainer(Explainer&&) noexcept = default;
Explainer& Explainer::operator=(Explainer&&) noexcept = default;

Session& Explainer::session() { return state_->session; }
const Model& Explainer::model() const { return state_->model(); }

std::int32_t Explainer::class_named(std::string_view label) const { return explain::class_named(model(), label); }

Explanation Explainer::grad_cam(std::span<const float> tensor, const GradCamOptions& options) {
  state_->check_input(tensor);
  if (options.level == 0) {
    return explain::grad_cam_at_norm(state_->session, state_->head_weights(), tensor, options);
  }
  state_->check_level(options.level);
  state_->gradient_weights = options.keep_gradient_weights ? model().state().packed->hold_gradient_forms() : nullptr;
  return explain::grad_cam_at_level(model(), state_->differentiating(), tensor, options);
}

Explanation Explainer::attention(std::span<const float> tensor, const AttentionOptions& options) {
  state_->check_input(tensor);
  state_->check_level(options.level);
  return explain::attention_map(model(), state_->differentiating(), state_->pool(), tensor, options);
}

Explanation Explainer::occlusion(std::span<const float> tensor, const OcclusionOptions& options) {
  state_->check_input(tensor);
  return explain::occlusion_map(state_->session, tensor, options);
}

}  // namespace gcvit
