// SPDX-License-Identifier: Apache-2.0
// Many images to their logits, in order: what classifying, evaluating and the report of a training run share.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "gcvit/classifier.h"
#include "gcvit/pipeline.h"
#include "gcvit/session.h"
#include "image/decode.h"

namespace gcvit::inference {

/// How the options want a model opened, and sessions on it.
ModelOptions model_options_of(const ClassifierOptions& options);
SessionOptions session_options_of(const ClassifierOptions& options);

/// An image that is yet to be decoded.
struct ImageSource {
  std::function<image::Image()> decode;  ///< on any thread; may throw
  std::string name;                      ///< for errors
};

/// Takes the images that `next` gives, until it gives none, through decoding, preprocessing and the model, `batch` together: `take` gets
/// one result each, in order. Both are called on this thread. An image that can't be read, or whose logits aren't finite, has an
/// `error` of its own; descriptors, memory or threads that have run out are thrown. Decoding goes on beside computing, a bounded number
/// of images ahead, so memory doesn't grow with their number. An exception of `take` or `next` ends it and comes out.
void run_images(Session& session, int batch, const std::function<std::optional<ImageSource>()>& next,
                const std::function<void(const ImageLogits&)>& take);
/// The same of a list.
void run_images(Session& session, int batch, std::span<const Image> images,
                const std::function<void(const ImageLogits&)>& take);
/// The same of images 0..count-1, wherever they lie.
void run_images(Session& session, int batch, std::size_t count,
                const std::function<image::Image(std::size_t image)>& decode,
                const std::function<std::string(std::size_t image)>& name,
                const std::function<void(const ImageLogits&)>& take);

}  // namespace gcvit::inference
