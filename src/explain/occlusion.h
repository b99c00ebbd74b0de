// SPDX-License-Identifier: Apache-2.0
// Occlusion: what the score loses when a part of the input is painted over. Zeiler and Fergus, "Visualizing and Understanding Convolutional
// Networks", ECCV 2014. It knows nothing of the model but its answers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gcvit/explain.h"

namespace gcvit::explain {

/// Where patches begin along a side: every `stride` pixels, the last one at the side's end.
std::vector<std::int32_t> patch_starts(std::int32_t side, std::int32_t patch, std::int32_t stride);

Explanation occlusion_map(Session& session, std::span<const float> tensor, const OcclusionOptions& options);

}  // namespace gcvit::explain
