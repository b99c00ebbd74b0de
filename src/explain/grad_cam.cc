// SPDX-License-Identifier: Apache-2.0
#include "explain/grad_cam.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/error.h"
#include "explain/heat_map.h"
#include "explain/score.h"
#include "inference/model_state.h"
#include "model/gcvit.h"

namespace gcvit::explain {
namespace {

Explanation explanation_of(const Model& model, std::int32_t target, std::span<const float> logits,
                           const GradCamOptions& options, HeatMap map) {
  Explanation result{.method = ExplainMethod::kGradCam,
                     .index = target,
                     .label = model.labels()[static_cast<std::size_t>(target)],
                     .of = options.score,
                     .score = score_of(model, options.score, target, logits),
                     .level = options.level,
                     .map = std::move(map)};
  set_range(result);
  return result;
}

/// The mean over positions of each channel of a map NHWC.
std::vector<float> means(const ValueShape& shape, std::span<const float> map) {
  const auto channels = static_cast<std::size_t>(shape.channels);
  std::vector<double> sums(channels);
  for (std::size_t i = 0; i < map.size(); ++i) sums[i % channels] += map[i];
  const double positions = static_cast<double>(shape.height) * shape.width;
  std::vector<float> result(channels);
  std::ranges::transform(sums, result.begin(), [&](double sum) { return static_cast<float>(sum / positions); });
  return result;
}

}  // namespace

HeatMap weighted_map(const ValueShape& shape, std::span<const float> map, std::span<const float> weights) {
  HeatMap result{shape.height, shape.width, {}};
  const auto channels = static_cast<std::size_t>(shape.channels);
  result.values.reserve(map.size() / channels);
  for (std::size_t position = 0; position < map.size(); position += channels) {
    double sum = 0.0;
    for (std::size_t c = 0; c < channels; ++c) sum += static_cast<double>(weights[c]) * map[position + c];
    result.values.push_back(static_cast<float>(std::max(sum, 0.0)));
  }
  return result;
}

Explanation grad_cam_at_norm(Session& session, std::span<const float> head, std::span<const float> tensor,
                             const GradCamOptions& options) {
  const Model& model = session.model();
  const ValueShape shape = session.shape_of(Feature::kFeatures);
  std::vector<float> map;
  std::vector<float> logits;
  RunOptions run{.batch = 1, .stop = options.stop};
  run.tap = [&](std::string_view name, const ValueShape&, std::span<const float> values) {
    if (name == name_of(Feature::kFeatures)) map.assign(values.begin(), values.end());
  };
  logits = session.logits(tensor, run);
  const std::int32_t target = target_class(model, options.target, logits);

  // score(logits), logits = head mean(A) + bias: d score / d A_c is the same at every position.
  const std::vector<float> by_logit = score_gradient(model, options.score, target, logits);
  const auto channels = static_cast<std::size_t>(shape.channels);
  std::vector<double> sums(channels);
  for (std::size_t k = 0; k < by_logit.size(); ++k) {
    if (by_logit[k] == 0.0f) continue;
    for (std::size_t c = 0; c < channels; ++c) sums[c] += static_cast<double>(by_logit[k]) * head[k * channels + c];
  }
  const double positions = static_cast<double>(shape.height) * shape.width;
  std::vector<float> weights(channels);
  std::ranges::transform(sums, weights.begin(), [&](double sum) { return static_cast<float>(sum / positions); });
  return explanation_of(model, target, logits, options, weighted_map(shape, map, weights));
}

Explanation grad_cam_at_level(const Model& model, ops::TrainingExecutor& executor, std::span<const float> tensor,
                              const GradCamOptions& options, LevelGradient* gradient) {
  const model::GCViT& network = *model.state().model;
  const model::GCViTConfig& config = network.config();
  const auto check_stop = [&] {
    if (options.stop.stop_requested()) fail(ErrorCode::kCancelled, "[explain] the explanation was cancelled");
  };
  // Gradients of no parameter are asked for, so what lies before the level is not recorded.
  ops::TrainingExecutor::Training training;
  training.trainable.assign(network.parameters().size(), false);
  executor.start_training(1, std::move(training));
  const std::string_view wanted = name_of(static_cast<Feature>(options.level - 1));
  ops::Value map;
  struct EndOfRun {
    ops::TrainingExecutor& executor;
    ~EndOfRun() {
      executor.set_tap_hook({});
      executor.start(1);  // what gradients need goes with the run
    }
  } end{executor};
  executor.set_tap_hook([&](std::string_view name, const ops::Value& value) {
    check_stop();
    if (name != wanted) return;
    map = value;
    executor.retain_grad(map);
  });
  const ops::Value logits_value =
      network.forward(executor, executor.input({config.image_height, config.image_width, 3}, tensor));
  const std::span<const float> logits = executor.read(logits_value);
  const std::int32_t target = target_class(model, options.target, logits);

  const std::unique_ptr<ops::ParameterVector> none = executor.make_vector({});
  executor.backward(logits_value, score_gradient(model, options.score, target, logits), *none);
  const ValueShape shape{map.shape().height, map.shape().width, map.shape().channels};
  const std::span<const float> values = executor.read(map);
  const std::span<const float> map_gradient = executor.gradient_of(map);
  if (gradient != nullptr) {
    *gradient = {shape, {values.begin(), values.end()}, {map_gradient.begin(), map_gradient.end()}};
  }
  return explanation_of(model, target, logits, options, weighted_map(shape, values, means(shape, map_gradient)));
}

}  // namespace gcvit::explain
