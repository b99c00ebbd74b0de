// SPDX-License-Identifier: Apache-2.0
// A model file opened for photos, and the one way from many photos to their logits that classifying and evaluating share.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "inference/engine.h"
#include "gcvit/classifier.h"
#include "image/preprocess.h"
#include "weights/load.h"

namespace gcvit::inference {

/// How a photo becomes a tensor.
struct Preparation {
  image::PreprocessConfig preprocess;
  image::DecodeOptions decode;

  std::size_t tensor_size() const {
    return static_cast<std::size_t>(preprocess.height) * static_cast<std::size_t>(preprocess.width) * 3;
  }
};

/// The picture of `photo`. Throws `Error`.
image::Image decode(const Image& image, const image::DecodeOptions& options);

/// How the options want a model file to be loaded. Throws `Error` on a window mode that there isn't.
weights::LoadOptions load_options_of(const ClassifierOptions& options);

/// How the options want photos to be decoded. Throws `Error` on one out of its range.
image::DecodeOptions decode_options_of(const ClassifierOptions& options);

/// Everything that a model file says, and the model itself.
struct Session {
  std::string file;
  weights::ModelInfo info;
  weights::LoadReport report;
  std::vector<std::string> labels;  ///< one a class
  Preparation preparation;
  Engine engine;
  int batch;  ///< photos that go through the model together

  /// Throws `Error` when the file can't be loaded or an option is out of its range.
  Session(const std::string& model_file, const ClassifierOptions& options);

 private:
  Session(const std::string& model_file, const ClassifierOptions& options, weights::LoadedModel loaded);
};

/// One photo's logits; or none and why.
struct ImageLogits {
  std::size_t image = 0;  ///< its place among those given
  std::span<const float> logits;
  std::string_view error;
  bool overflowed = false;  ///< it could be read, but its logits aren't finite
};

/// Takes photos through decoding, preprocessing and the model: `take` gets one result each, in order, on the calling
/// thread. A photo that can't be read or whose logits aren't finite spoils no other. Decoding goes on beside computing, a bounded number of photos ahead. Results depend on neither threads nor
/// batch. An exception of `take` ends it and comes out.
void run_images(Session& session, std::span<const Image> images, const std::function<void(const ImageLogits&)>& take);
/// The same of photos 0..count-1, wherever they lie: `decode` gives the picture of one, on any thread, or throws; `name`
/// names one in errors.
void run_images(Session& session, std::size_t count, const std::function<image::Image(std::size_t image)>& decode,
                const std::function<std::string(std::size_t image)>& name,
                const std::function<void(const ImageLogits&)>& take);

/// Takes photos through decoding and preprocessing alone; `tensor` is empty where there is an `error`.
void prepare_images(
    const Preparation& preparation, std::span<const Image> images, int threads,
    const std::function<void(std::size_t image, std::span<const float> tensor, std::string_view error)>& take);

/// The `k` most probable classes, most probable first, the lower index first among equals.
std::vector<Prediction> top_predictions(const Session& session, std::span<const float> logits, int k);

}  // namespace gcvit::inference
