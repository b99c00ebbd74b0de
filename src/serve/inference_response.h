// SPDX-License-Identifier: Apache-2.0
// Answers about images, as JSON and tensors.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gcvit/model.h"
#include "serve/inference_request.h"

namespace gcvit::serve {

struct InferenceResponse {
  std::string body;
  /// Bytes of the JSON that the body begins with, where tensors stand behind it.
  std::optional<std::size_t> json_bytes;
};

/// The response of the Open Inference Protocol v2 to `request`. `logits`: one vector of the model's classes an image.
InferenceResponse inference_response(const InferenceRequest& request, std::string_view model_name, const Model& model,
                                     std::span<const std::vector<float>> logits);

/// {"predictions":[{"index":3,"label":"roses","probability":0.99}],"model":"flowers","milliseconds":12.3}
/// `explanation`: where it isn't empty, the JSON of the member "explanation".
std::string classification_json(std::span<const Prediction> predictions, std::string_view model_name,
                                double milliseconds, std::string_view explanation = "");

/// {"error":"..."}
std::string error_json(std::string_view sentence);

/// What the protocol says of the server and of a model.
std::string server_metadata_json(std::string_view version);
std::string model_metadata_json(std::string_view model_name, const Model& model);

}  // namespace gcvit::serve
