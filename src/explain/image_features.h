// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "gcvit/image.h"
#include "gcvit/session.h"

namespace gcvit::explain {

/// Takes images through decoding, preprocessing and the model, `batch` together: `take` gets the values of `feature` of each, of
/// `session.shape_of(feature)`, in order and on the calling thread; or no values, and an error of its own, where an image can't be read or
/// the model's numbers aren't finite. Decoding goes on beside computing, a bounded number of images ahead. Throws `Error` when descriptors,
/// memory or threads have run out, and what `take` throws.
void features_of_images(
    Session& session, std::span<const Image> images, Feature feature, int batch,
    const std::function<void(std::size_t image, std::span<const float> values, std::string_view error)>& take);

/// The pooled features of one fixed input, which tell models apart: `session.shape_of(Feature::kPooled)` floats.
std::vector<float> fingerprint(Session& session);

}  // namespace gcvit::explain
