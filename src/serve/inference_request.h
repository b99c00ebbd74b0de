// SPDX-License-Identifier: Apache-2.0
// The inference request of the Open Inference Protocol v2: JSON, and behind it the bytes of the tensors that aren't in the JSON.
//
//     {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 61237}}],
//      "outputs": [{"name": "probabilities", "parameters": {"binary_data": true}}]}
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gcvit/image.h"

namespace gcvit::serve {

/// The three inputs of which a request has one.
inline constexpr std::string_view kImageInput = "image";  ///< BYTES [n]: JPEG, PNG or WebP files; in JSON as Base64
inline constexpr std::string_view kPixelsInput = "pixels";  ///< UINT8 [n, height, width, 3]: RGB of any size
inline constexpr std::string_view kTensorInput =
    "tensor";  ///< FP32 [n, H, W, 3]: as the model's preprocessing makes them

enum class Output : std::uint8_t {
  kLogits,  ///< FP32 [n, classes]
  kProbabilities,  ///< FP32 [n, classes]
  kLabels,  ///< BYTES [n]: the most probable class's name
};

/// "logits", "probabilities", "labels".
std::string_view name_of(Output output);

struct RequestedOutput {
  Output output = Output::kLogits;
  bool binary = false;
  /// Where it isn't 0: BYTES [n, k] with the k largest values as "0.99:3:roses" (value, class, name), as Triton has them.
  int classes = 0;
};

struct InferenceRequest {
  std::string id;
  std::vector<Image> images;  ///< of "image" or "pixels"; views of the body, or of `owned_pixels`
  std::vector<float> tensors;  ///< of "tensor"
  std::vector<RequestedOutput> outputs;
  std::vector<std::uint8_t> owned_pixels;
};

struct InferenceLimits {
  std::int32_t height = 0;  ///< of the model's tensor
  std::int32_t width = 0;
  std::size_t images = 64;  ///< in one request
};

/// Reads a request from a body, which must outlive it. `json_bytes`: the field Inference-Header-Content-Length, without which all of the
/// body is JSON. Throws `Refusal` or `Error`: 413 for more images than allowed, else 400.
InferenceRequest parse_inference_request(std::span<const std::byte> body, std::optional<std::size_t> json_bytes,
                                         const InferenceLimits& limits);

}  // namespace gcvit::serve
