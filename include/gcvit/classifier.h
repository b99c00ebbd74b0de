// SPDX-License-Identifier: Apache-2.0
// The one-object API: open a model file, give it images, get classes.
//
//     gcvit::Classifier classifier("gcvit_flowers.safetensors");
//     for (const gcvit::Prediction& p : classifier.classify(gcvit::Image::file("rose.jpg"), 3)) {
//       std::cout << p.label << ' ' << p.probability << '\n';
//     }
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gcvit/error.h"
#include "gcvit/export.h"
#include "gcvit/image.h"
#include "gcvit/model.h"
#include "gcvit/session.h"

namespace gcvit {

/// What came of one image of many.
struct ImageResult {
  std::size_t image = 0;  ///< its place among those given, from 0
  /// Most probable first; empty when the image could not be read or has a logit that isn't finite.
  std::vector<Prediction> predictions;
  std::string error;  ///< why not; else empty
  ErrorCode code = ErrorCode::kInvalidFile;  ///< of the error
};

struct ClassifierOptions {
  /// Threads that compute; 0 means every processor this process may use. As many more, at lower priority, decode the
  /// next images beside them.
  int threads = 0;
  Precision precision = Precision::kAuto;
  Preset preprocess = Preset::kAuto;  ///< how images become tensors
  std::int32_t image_height = 0;      ///< this and what follows as ModelOptions has it
  std::int32_t image_width = 0;
  WindowMode window_mode = WindowMode::kExact;
  bool keras_example_bias = false;
  std::optional<bool> ema = {};
  bool apply_exif = true;  ///< as ImageOptions has it
  std::uint64_t max_pixels = 178'956'970;
  /// Images that go through the model together. Results don't depend on it.
  int batch = 8;
  /// Bytes of memory that the model and the maps between its layers may take: what would need more is refused by an
  /// `Error` before anything is allocated. Images that are being decoded may take a third of it together, in the whole
  /// process: an image that needs more by itself is an error, others wait for each other. 0 means three quarters of what
  /// this machine, or this process's control group or resource limits, allow.
  std::uint64_t max_memory = 0;
};

/// A model, ready to classify. All failures are thrown as `Error`. Any number of threads may call one classifier; they share its
/// weights and take turns on its threads.
///
/// An image's numbers depend on nothing but the image, the model file and the processor's instruction set: not on the
/// images and callers beside it nor on the number of threads.
class GCVIT_EXPORT Classifier {
 public:
  /// Loads a model file of ours, or a weight file of Keras, PyTorch, timm, NVlabs or JAX users: docs/weights.md lists them.
  explicit Classifier(const std::string& model_file, const ClassifierOptions& options = {});
  ~Classifier();
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;

  /// The `k` most probable classes of an image, most probable first; all classes when there are fewer than `k`.
  std::vector<Prediction> classify(const Image& image, int k = 5);
  /// The same for many images: results in their order. An image that can't be read, or whose logits aren't finite (weights that
  /// overflow float32), has an `error` of its own. File descriptors or threads that have run out are thrown.
  std::vector<ImageResult> classify(std::span<const Image> images, int k = 5);
  /// The same, one result at a time in their order, as soon as it is there: memory doesn't grow with their number. An
  /// exception that `take` throws ends the run and comes out here.
  void classify(std::span<const Image> images, int k, const std::function<void(const ImageResult&)>& take);

  /// The tensor the model sees: image_height x image_width x 3 normalised floats (NHWC).
  std::vector<float> preprocess(const Image& image);
  /// Logits, [n, classes], of n tensors as `preprocess` makes them, one behind the other. Throws when one of an image
  /// isn't finite, and names the image.
  std::vector<float> logits(std::span<const float> tensors);

  const Model& model() const;
  std::int32_t image_height() const;
  std::int32_t image_width() const;
  /// The number of classes.
  std::int32_t classes() const;
  /// The name of class `index`: the file's; without one ImageNet's when there are 1000 classes; else "class 17".
  const std::string& label(std::int32_t index) const;
  /// From image to tensor, in one line for people.
  std::string preprocessing() const;
  /// Sentences that a person should see of how the model was found and read: which of several weights are used, which
  /// tensors belong to no model, which file of a folder it is. Mostly none.
  const std::vector<std::string>& notices() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit
