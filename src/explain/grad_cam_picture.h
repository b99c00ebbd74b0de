// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gcvit/explain.h"
#include "image/decode.h"
#include "image/preprocess.h"

namespace gcvit::explain {

/// `picture`, which shows `part` of the photo at any size, such as its thumbnail, under the colours of Grad-CAM behind the final norm for
/// class `target`: a forward. `part` is in the photo's pixels, which are upright. What the model didn't see is dimmed; a map that points
/// at nothing adds no colours. Throws `Error` as `Explainer::grad_cam` does.
image::Image grad_cam_picture(Explainer& explainer, const image::Image& photo, std::int32_t target,
                              const image::Image& picture, const image::Area& part);

}  // namespace gcvit::explain
