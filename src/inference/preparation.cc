// SPDX-License-Identifier: Apache-2.0
#include "inference/preparation.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "image/image_queue.h"
#include "inference/model_state.h"
#include "inference/preprocessing.h"

namespace gcvit::inference {

image::DecodeOptions decode_options_of(const ImageOptions& options, std::uint64_t max_memory) {
  if (options.max_pixels < 1) fail("[classifier] max_pixels: expected at least 1, found 0");
  return {.apply_exif = options.apply_exif, .max_pixels = options.max_pixels, .max_memory = max_memory};
}

Preparation preparation_for(const Model& model, const ImageOptions& options) {
  const Model::State& state = model.state();
  return {preprocessing_of(state.info, options.preprocess, state.file),
          decode_options_of(options, state.options.max_memory)};
}

void prepare_images(
    const Preparation& preparation, std::span<const Image> images, int threads,
    const std::function<void(std::size_t image, std::span<const float> tensor, std::string_view error)>& take) {
  std::vector<image::PreprocessScratch> scratch(static_cast<std::size_t>(std::max(threads, 1)));
  const auto capacity = static_cast<std::size_t>(3 * std::max(threads, 1));
  image::ImageQueue queue(images.size(), preparation.tensor_size(), capacity, threads,
                          [&](std::size_t index, std::span<float> tensor, int thread) {
                            image::preprocess(decode(images[index], preparation.decode), preparation.preprocess, tensor,
                                              scratch[static_cast<std::size_t>(thread)]);
                          });
  while (const image::ImageQueue::Image* image = queue.next()) {
    const bool whole = image->error.empty();
    take(image->index, whole ? std::span<const float>(image->tensor) : std::span<const float>(), image->error);
  }
}

}  // namespace gcvit::inference
