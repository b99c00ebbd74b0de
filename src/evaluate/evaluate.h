// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "gcvit/pipeline.h"
#include "gcvit/session.h"
#include "data/image_set.h"
#include "evaluate/metrics.h"

namespace gcvit::evaluate {

struct Evaluation {
  Metrics metrics;                        ///< with the model's temperature, if it has one
  std::optional<Metrics> uncalibrated{};  ///< without the temperature, if the model has one
  std::int64_t skipped = 0;               ///< photos that could not be read or have a logit that isn't finite
};

/// The photos to evaluate, and how their classes are matched with a model's.
struct LabelledImages {
  std::string path;
  std::optional<data::Split> split =
      {};  ///< use only this split; default: the validation photos if the set has any marked
  std::string list = {};  ///< file that names the photos to use, for validation or not; empty: all
  bool by_index = false;           ///< match classes by their order if their names don't match
};

/// Opens the photos and matches their classes with the model's by name, or by WordNet id for ImageNet's. Throws
/// `Error` as `data::open_image_set`, `remap_labels` and `restrict_to_list` do.
data::ImageSet read_labelled_images(const Model& model, const LabelledImages& images);

/// Evaluates the session's model on every photo of `images`, `batch` together. `take` is called after each, in their order, with its logits
/// or its error. Memory doesn't grow with their number; the result doesn't depend on threads or batch.
Evaluation evaluate(Session& session, int batch, const data::ImageSet& images,
                    const std::function<void(const ImageLogits& image)>& take);

}  // namespace gcvit::evaluate
