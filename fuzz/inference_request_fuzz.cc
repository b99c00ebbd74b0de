// SPDX-License-Identifier: Apache-2.0
// The body of an inference request: JSON, and tensors behind it. The first two bytes say where the JSON ends.
#include <cstdint>
#include <optional>

#include "fuzz/target.h"
#include "serve/inference_request.h"

namespace gcvit::fuzz {
namespace {

constexpr serve::InferenceLimits kLimits = {.height = 4, .width = 4, .images = 8};
constexpr std::uint64_t kValueBytes = 64;  // of a value in the JSON's tree, whose text may be two bytes

void run(const Input& input, Budget& budget) {
  budget.bytes += kValueBytes * budget.file;
  if (input.bytes.size() < 2) return;
  const std::size_t json = std::to_integer<std::size_t>(input.bytes[0]) | std::to_integer<std::size_t>(input.bytes[1])
                                                                              << 8;
  const serve::InferenceRequest request =
      serve::parse_inference_request(input.bytes.subspan(2), json == 0 ? std::nullopt : std::optional(json), kLimits);
  const std::size_t images = request.images.size() + request.tensors.size() / (4 * 4 * 3);
  expect(images >= 1 && images <= kLimits.images, "one image or more, and no more than allowed");
  expect(request.images.empty() || request.tensors.empty(), "one input");
  expect(!request.outputs.empty(), "an output");
  std::size_t sum = 0;  // every byte of an image can be read
  for (const Image& image : request.images) {
    for (const std::byte one : image.bytes()) sum += std::to_integer<std::size_t>(one);
  }
  expect(sum <= 255 * (input.bytes.size() + request.owned_pixels.size()), "bytes of the request");
}

const Registration registration({.name = "inference_request_fuzz", .run = run});

}  // namespace
}  // namespace gcvit::fuzz
