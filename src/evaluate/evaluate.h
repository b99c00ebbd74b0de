// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "classifier/session.h"
#include "data/photo_set.h"
#include "evaluate/metrics.h"

namespace gcvit::evaluate {

struct Evaluation {
  Metrics metrics;                        ///< with the temperature that the model has, if it has one
  std::optional<Metrics> uncalibrated{};  ///< then also without it
  std::int64_t skipped = 0;               ///< photos that could not be read or have a logit that isn't finite
};

/// Opens the photos at `path` with the names of the session's classes, or their WordNet ids where they are ImageNet's;
/// of those that say which photos validate, only these.
data::PhotoSet read_labelled_photos(const classifier::Session& session, const std::string& path);

/// Every photo of `photos` through the model. `progress` is called after each, with the photo's error or an empty text.
/// Memory doesn't grow with their number; the outcome doesn't depend on threads or batch.
Evaluation evaluate(classifier::Session& session, const data::PhotoSet& photos,
                    const std::function<void(std::string_view error)>& progress);

}  // namespace gcvit::evaluate
