// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "classifier/session.h"
#include "data/image_folder.h"
#include "evaluate/metrics.h"

namespace gcvit::evaluate {

struct Evaluation {
  Metrics metrics;
  std::int64_t skipped = 0;  ///< photos that could not be read
};

/// Reads `root` with the names of the session's classes, or their WordNet ids where they are ImageNet's.
data::ImageFolder read_labelled_photos(const classifier::Session& session, const std::string& root);

/// Every photo of `folder` through the model. `progress` is called after each, with the photo's error or an empty text.
/// Memory doesn't grow with their number; the outcome doesn't depend on threads or batch.
Evaluation evaluate(classifier::Session& session, const data::ImageFolder& folder,
                    const std::function<void(std::string_view error)>& progress);

}  // namespace gcvit::evaluate
