// SPDX-License-Identifier: Apache-2.0
// Grad-CAM: ReLU(sum over c of w_c A_c), w_c = mean over positions of d score / d A_c. A: a map, H x W x C. Selvaraju et al., "Grad-CAM:
// Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017, equations 1 and 2.
#pragma once

#include <span>
#include <vector>

#include "gcvit/explain.h"
#include "ops/training_executor.h"

namespace gcvit::explain {

/// ReLU(sum over c of weights[c] map[., c]) of a map NHWC of one image.
HeatMap weighted_map(const ValueShape& shape, std::span<const float> map, std::span<const float> weights);

/// On the last map behind the final norm, where logits are linear in the map: a forward of `session` is all it takes. `head`: the weights
/// of the last layer, [classes, channels].
Explanation grad_cam_at_norm(Session& session, std::span<const float> head, std::span<const float> tensor,
                             const GradCamOptions& options);

/// A level's map and d score / d map, both NHWC.
struct LevelGradient {
  ValueShape shape;
  std::vector<float> map;
  std::vector<float> gradient;
};

/// On the map of level `options.level` before its downsample, by going backward from the score to it; `gradient`, when not null, gets what
/// the weights are the means of.
Explanation grad_cam_at_level(const Model& model, ops::TrainingExecutor& executor, std::span<const float> tensor,
                              const GradCamOptions& options, LevelGradient* gradient = nullptr);

}  // namespace gcvit::explain
