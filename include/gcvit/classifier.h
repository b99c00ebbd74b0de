// SPDX-License-Identifier: Apache-2.0
// The one-object API: open a model file, give it photos, get classes.
//
//     gcvit::Classifier classifier("gcvit_flowers.safetensors");
//     for (const gcvit::Prediction& p : classifier.classify(gcvit::Photo::file("rose.jpg"), 3)) {
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

namespace gcvit {

/// A photo to classify, in one of three forms. The bytes and pixels are views: they must outlive the call that gets the
/// photo.
class GCVIT_EXPORT Image {
 public:
  /// A JPEG, PNG or WebP file; it is opened when its turn comes. A pipe, socket or device is refused.
  static Image file(std::string path);
  /// The bytes of such a file; `name` stands for it in errors and results.
  static Image encoded(std::span<const std::byte> bytes, std::string name = "photo");
  /// 8-bit RGB, height x width x 3, rows from the top, nothing between them.
  static Image pixels(std::span<const std::uint8_t> rgb, std::int32_t height, std::int32_t width,
                      std::string name = "photo");

  enum class Kind : std::uint8_t { kFile, kEncoded, kPixels };
  Kind kind() const { return kind_; }
  /// The path of a file, else the given name.
  const std::string& name() const { return name_; }
  /// What was given to `encoded` or `pixels`.
  std::span<const std::byte> bytes() const { return bytes_; }
  std::int32_t height() const { return height_; }
  std::int32_t width() const { return width_; }

 private:
  Image(Kind kind, std::string name, std::span<const std::byte> bytes, std::int32_t height, std::int32_t width);

  Kind kind_;
  std::string name_;
  std::span<const std::byte> bytes_;
  std::int32_t height_;
  std::int32_t width_;
};

/// One class for one photo.
struct Prediction {
  std::int32_t index = 0;  ///< of the class, from 0
  std::string label;  ///< its name
  float probability = 0;  ///< softmax over all classes (of logits / temperature where the file has one fitted)
};

/// What came of one photo of many.
struct ImageResult {
  std::size_t image = 0;  ///< its place among those given, from 0
  /// Most probable first; empty when the photo could not be read or has a logit that isn't finite.
  std::vector<Prediction> predictions;
  std::string error;  ///< why not; else empty
};

struct ClassifierOptions {
  /// Threads that compute; 0 means every processor this process may use. As many more, at lower priority, decode the
  /// next photos beside them.
  int threads = 0;
  /// How photos become tensors: "timm", "nvlabs", "keras", "keras-train", or "auto": as the model file says, else by
  /// where its weights come from.
  std::string preprocess = "auto";
  /// Side lengths of the model's input, multiples of 32; 0 for the file's own. Other ones than the file's change the
  /// model by `window_mode`. The few weight files whose tensors don't tell their own need them.
  std::int32_t image_height = 0;
  std::int32_t image_width = 0;
  /// What becomes of attention windows at another image size: "exact": they grow and shrink with the image and the
  /// relative position bias tables are resized, as in timm; "fixed": they stay and maps are padded to whole windows, as
  /// in NVlabs' detection code.
  std::string window_mode = "exact";
  /// For weights that were tuned with the Keras example, which gives all heads one bias: see docs/weights.md.
  bool keras_example_bias = false;
  /// Of a training checkpoint that holds both: the averaged weights (EMA) or the raw ones. Without it those of the usual
  /// key, such as `state_dict`, where that has a GCViT's, else the raw ones (docs/weights.md); `notices` says which.
  /// Asking for what the file hasn't is an `Error` that names what it has.
  std::optional<bool> ema = {};
  /// Turn photos as their EXIF orientation says. TensorFlow and timm don't.
  bool apply_exif = true;
  /// A photo that claims more pixels (width x height) is an error, before memory is taken for it; where Pillow begins
  /// to refuse.
  std::uint64_t max_pixels = 178'956'970;
  /// Photos that go through the model together. Results don't depend on it.
  int batch = 8;
  /// Bytes of memory that the model and the maps between its layers may take: what would need more is refused by an
  /// `Error` before anything is allocated. Photos that are being decoded may take a third of it together, in the whole
  /// process: a photo that needs more by itself is an error, others wait for each other. 0 means three quarters of what this machine, or this process's control group
  /// or resource limits, allow.
  std::uint64_t max_memory = 0;
};

/// A model, ready to classify. All failures are thrown as `Error`. One call at a time.
///
/// A photo's numbers depend on nothing but the photo, the model file and the processor's instruction set: not on the
/// photos beside it nor on the number of threads.
class GCVIT_EXPORT Classifier {
 public:
  /// Loads a model file of ours, or a weight file of Keras, PyTorch, timm, NVlabs or JAX users: docs/weights.md lists them.
  explicit Classifier(const std::string& model_file, const ClassifierOptions& options = {});
  ~Classifier();
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;

  /// The `k` most probable classes of a photo, most probable first; all classes when there are fewer than `k`.
  std::vector<Prediction> classify(const Image& image, int k = 5);
  /// The same for many photos: results in their order. A photo that can't be read, or whose logits aren't
  /// finite (weights that overflow float32), has an `error` and spoils no other. File descriptors or threads that have run
  /// out are no photo's error: they are thrown.
  std::vector<ImageResult> classify(std::span<const Image> images, int k = 5);
  /// The same, one result at a time in their order, as soon as it is there: memory doesn't grow with their number. An
  /// exception that `take` throws ends the run and comes out here.
  void classify(std::span<const Image> images, int k, const std::function<void(const ImageResult&)>& take);

  /// The tensor the model sees: image_height x image_width x 3 normalised floats (NHWC).
  std::vector<float> preprocess(const Image& image);
  /// Logits, [n, classes], of n tensors as `preprocess` makes them, one behind the other. Throws when one of an image
  /// isn't finite, and names the image.
  std::vector<float> logits(std::span<const float> tensors);

  std::int32_t image_height() const;
  std::int32_t image_width() const;
  /// The number of classes.
  std::int32_t classes() const;
  /// The name of class `index`: the file's; without one ImageNet's when there are 1000 classes; else "class 17".
  const std::string& label(std::int32_t index) const;
  /// From photo to tensor, in one line for people.
  std::string preprocessing() const;
  /// Sentences that a person should see of how the model was found and read: which of several weights are used, which
  /// tensors belong to no model, which file of a folder it is. Mostly none.
  const std::vector<std::string>& notices() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit
