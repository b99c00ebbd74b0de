// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

#include "capi/handles.h"
#include "gcvit/pipeline.h"

namespace gcvit::capi {

/// Sends the images through a pipeline and gives `take` each one's logits or error, in their order, on the pipeline's thread. Throws
/// what `take` throws, and `Error` when an image is NULL.
void run_images(OpenModel& model, const gcvit_image* const* images, std::size_t count,
                const std::function<void(ImageLogits image)>& take);

}  // namespace gcvit::capi
