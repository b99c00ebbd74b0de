// SPDX-License-Identifier: Apache-2.0
// The configuration, read off the tensors: dim = stem channels; depths = blocks counted; heads and window from the bias
// tables ((2h-1)^2 rows, heads columns); mlp_ratio from fc1; layer scale if gamma is there; classes from the head. The
// image size follows from how often the first level's query generator halves its map.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "formats/raw_file.h"

namespace gcvit::weights {

using model::ImageSize;

struct InferOptions {
  /// The model's own image size, used where the tensors leave it open; without it that is an error that says so.
  std::optional<ImageSize> image_size;
  /// Used when the file has no head.
  std::optional<std::int32_t> classes;
};

struct InferredConfig {
  model::GCViTConfig config;
  std::vector<std::string> reasons;  ///< for people: how each value was found, with the tensor's name
};

/// `tensors` have canonical names. The config is valid (model::validate). Throws `Error` naming the tensor that is
/// missing, contradicts another or describes no GCViT.
InferredConfig infer_config(std::span<const formats::NamedTensor> tensors, const std::string& file,
                            const InferOptions& options = {});

}  // namespace gcvit::weights
