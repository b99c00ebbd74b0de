// SPDX-License-Identifier: Apache-2.0
// What one thread needs to compute with a model: buffers and scratch. The second session of a model costs its maps alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "gcvit/image.h"
#include "gcvit/model.h"

namespace gcvit {

/// From image to tensor, as different makers of weights do it: docs/preprocessing.md.
enum class Preset : std::uint8_t {
  kAuto,  ///< as the model file says, else by where its weights come from
  kTimm,
  kNvlabs,
  kKeras,
  kKerasTrain,
};

/// "auto", "timm", "nvlabs", "keras", "keras-train".
GCVIT_EXPORT std::string_view name_of(Preset preset);

struct ImageOptions {
  Preset preprocess = Preset::kAuto;
  /// Turn images as their EXIF orientation says. TensorFlow and timm don't.
  bool apply_exif = true;
  /// An image that claims more pixels (width x height) is an error, before memory is taken for it; where Pillow begins
  /// to refuse.
  std::uint64_t max_pixels = 178'956'970;
};

struct SessionOptions {
  /// 0: the model's pool, which sessions take turns on. Else a pool of so many threads of the session's own.
  int threads = 0;
  ImageOptions images = {};
};

/// Values that the model names on its way. The maps are those before a level's downsample.
enum class Feature : std::uint8_t {
  kLevel1,
  kLevel2,
  kLevel3,
  kLevel4,
  kFeatures,  ///< the last map behind the final normalisation
  kPooled,  ///< its mean over positions: a vector
};

/// "level1" .. "level4", "features", "pooled": the name under which it is tapped.
GCVIT_EXPORT std::string_view name_of(Feature feature);

/// Height, width and channels of one image's value.
struct ValueShape {
  std::int32_t height = 1;
  std::int32_t width = 1;
  std::int32_t channels = 0;
  std::size_t size() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
  }
  bool operator==(const ValueShape&) const = default;
};

struct RunOptions {
  /// Images that go through the model together. Results don't depend on it.
  int batch = 8;
  /// Called with each value that the model names ("level1" .. "level4", "features", "pooled", "logits"), batch by batch:
  /// all images' floats, NHWC.
  std::function<void(std::string_view name, const ValueShape& shape, std::span<const float> values)> tap = {};
  /// Called behind each batch.
  std::function<void(std::size_t done, std::size_t images)> progress = {};
  /// Ends the run with an `Error` of code kCancelled, within a level's time.
  std::stop_token stop = {};
};

/// Of one thread at a time; any number of sessions run beside each other. A result depends on the image, the model and the
/// processor's instruction set alone. All failures are thrown as `Error`, after which the session can be used again.
class GCVIT_EXPORT Session {
 public:
  explicit Session(Model model, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const Model& model() const;
  int threads() const;
  /// Floats of an image's tensor: image_height x image_width x 3.
  std::size_t tensor_size() const;

  /// The tensor the model sees, NHWC, into `out` of `tensor_size()` floats.
  void preprocess(const Image& image, std::span<float> out);
  std::vector<float> preprocess(const Image& image);

  /// The logits, [n, classes], of n tensors as `preprocess` makes them, one behind the other, into `out`. Throws when a logit
  /// isn't finite, and names the image.
  void logits(std::span<const float> tensors, std::span<float> out, const RunOptions& options = {});
  std::vector<float> logits(std::span<const float> tensors, const RunOptions& options = {});
  /// softmax of them, divided by the file's temperature where it has one.
  void probabilities(std::span<const float> tensors, std::span<float> out, const RunOptions& options = {});
  std::vector<float> probabilities(std::span<const float> tensors, const RunOptions& options = {});
  /// A named value, [n, height, width, channels].
  ValueShape shape_of(Feature feature) const;
  void features(std::span<const float> tensors, Feature feature, std::span<float> out, const RunOptions& options = {});
  std::vector<float> features(std::span<const float> tensors, Feature feature, const RunOptions& options = {});

  struct State;  ///< the library's own
  State& state() { return *state_; }
  const State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace gcvit
