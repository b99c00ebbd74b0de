// SPDX-License-Identifier: Apache-2.0
// From image to tensor.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "gcvit/image.h"
#include "gcvit/session.h"
#include "image/decode.h"
#include "image/preprocess.h"

namespace gcvit::inference {

/// How an image becomes a tensor.
struct Preparation {
  image::PreprocessConfig preprocess;
  image::DecodeOptions decode;

  std::size_t tensor_size() const {
    return static_cast<std::size_t>(preprocess.height) * static_cast<std::size_t>(preprocess.width) * 3;
  }
};

/// How the options want images to be decoded. `max_memory`: of all images that are being decoded. Throws `Error` on an option out of its
/// range.
image::DecodeOptions decode_options_of(const ImageOptions& options, std::uint64_t max_memory);

/// How the options want images prepared for a model.
Preparation preparation_for(const Model& model, const ImageOptions& options);

/// The pixels of `image`, as RGB. Throws `Error`.
image::Image decode(const Image& image, const image::DecodeOptions& options);

/// Takes images through decoding and preprocessing alone, on `threads` threads; `tensor` is empty where there is an `error`. Results
/// come in order, on the calling thread.
void prepare_images(
    const Preparation& preparation, std::span<const Image> images, int threads,
    const std::function<void(std::size_t image, std::span<const float> tensor, std::string_view error)>& take);

}  // namespace gcvit::inference
