// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "inference/session.h"
#include "data/image_set.h"
#include "evaluate/metrics.h"

namespace gcvit::evaluate {

struct Evaluation {
  Metrics metrics;                        ///< with the temperature that the model has, if it has one
  std::optional<Metrics> uncalibrated{};  ///< then also without it
  std::int64_t skipped = 0;               ///< photos that could not be read or have a logit that isn't finite
};

/// Which photos are measured, and how they are matched with a model's classes.
struct LabelledImages {
  std::string path;
  std::optional<data::Split> split = {};  ///< only this split's; else those that validate, where the set says which
  std::string list = {};  ///< a file that names the photos, whether they validate or not; empty: all
  bool by_index = false;           ///< class i of a set whose names don't match is class i of the model
};

/// Opens the photos with the names of the session's classes, or their WordNet ids where they are ImageNet's. Throws
/// `Error` as `data::open_image_set`, `remap_labels` and `restrict_to_list` do.
data::ImageSet read_labelled_images(const inference::Session& session, const LabelledImages& images);

/// Every photo of `photos` through the model. `progress` is called after each, with the photo's error or an empty text.
/// Memory doesn't grow with their number; the outcome doesn't depend on threads or batch.
Evaluation evaluate(inference::Session& session, const data::ImageSet& images,
                    const std::function<void(std::string_view error)>& progress);

}  // namespace gcvit::evaluate
