// SPDX-License-Identifier: Apache-2.0
// A model: immutable, cheap to copy, safe from any number of threads.
//
//     const gcvit::Model model = gcvit::Model::open("gcvit_flowers.safetensors");
//     gcvit::Session session(model);  // one a thread: session.h
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "gcvit/error.h"
#include "gcvit/export.h"

namespace gcvit {

/// What the products of linear layers and strided convolutions round their operands to. All else is f32, and sums are f32 or exact.
enum class Precision : std::uint8_t {
  kAuto,  ///< as the file stores each weight: int8 and bf16 ones compute as that, all others in f32
  kF32,
  kBf16,
  kInt8,  ///< weights of blocks, downsamplers and query generators, with a scale an output channel and one a row of inputs
};

/// Where a model computes.
enum class Device : std::uint8_t { kCpu };

/// What becomes of attention windows at another image size.
enum class WindowMode : std::uint8_t {
  kExact,  ///< they grow and shrink with the image and bias tables are resized, as in timm
  kFixed,  ///< they stay and maps are padded to whole windows, as in NVlabs' detection code
};

struct ModelOptions {
  Precision precision = Precision::kAuto;
  Device device = Device::kCpu;
  /// Threads of the pool that sessions share unless they have their own; 0 means every processor this process may use.
  int threads = 0;
  /// Side lengths of the input, multiples of 32; 0 for the file's own. Other ones than the file's change the model by
  /// `window_mode`. The few weight files whose tensors don't tell their own need them.
  std::int32_t image_height = 0;
  std::int32_t image_width = 0;
  WindowMode window_mode = WindowMode::kExact;
  /// For weights that were tuned with the Keras example, which gives all heads one bias: see docs/weights.md.
  bool keras_example_bias = false;
  /// Of a training checkpoint that holds both: the averaged weights (EMA) or the raw ones. Without it those of the usual
  /// key, such as `state_dict`, where that has a GCViT's, else the raw ones (docs/weights.md); `notices` says which.
  /// Asking for what the file hasn't is an `Error` that names what it has.
  std::optional<bool> ema = {};
  /// Keep the parameters' values beside their packed form: they take that memory again, and `parameter` always has them.
  bool keep_parameters = false;
  /// Bytes that the model and a session's maps may take: what would need more is refused by an `Error` before it is
  /// allocated. 0 means three quarters of what this machine, or this process's control group or resource limits, allow.
  std::uint64_t max_memory = 0;
  /// Called while the model is opened with the share of the parameters that are ready, 0 to 1; on the opening thread.
  std::function<void(double done)> progress = {};
  /// Ends opening with an `Error` of code kCancelled.
  std::stop_token stop = {};
};

/// A parameter by its canonical name.
struct ParameterInfo {
  std::string name;  ///< "levels.0.blocks.1.attn.qkv.weight"
  std::vector<std::int64_t> dims;  ///< in PyTorch's layout
};

/// One class for one image.
struct Prediction {
  std::int32_t index = 0;  ///< of the class, from 0
  std::string label;  ///< its name
  float probability = 0;  ///< softmax over all classes (of logits / temperature where the file has one fitted)
};

/// A model opened from a file or bytes. Copies share everything. Its weights are packed once, as the kernels read them; nothing
/// of the file stays open, mapped or referred to: it may be replaced, cut short or removed afterwards.
class GCVIT_EXPORT Model {
 public:
  /// Opens a model file of ours, or a weight file of Keras, PyTorch, timm, NVlabs or JAX users: docs/weights.md lists them.
  /// Throws `Error`.
  static Model open(const std::string& path, const ModelOptions& options = {});
  /// The same of a file's bytes, which are not used after the call; `name` stands for the file in errors. Formats of several files
  /// (shards, a folder) can't be opened so.
  static Model open(std::span<const std::byte> bytes, const std::string& name = "model",
                    const ModelOptions& options = {});

  std::int32_t image_height() const;
  std::int32_t image_width() const;
  /// The number of classes.
  std::int32_t classes() const;
  /// One a class: the file's names; without them ImageNet's when there are 1000 classes; else "class 17".
  const std::vector<std::string>& labels() const;
  /// How the file's own preprocessing makes a tensor of an image, in one line for people.
  std::string preprocessing() const;
  /// The file that was opened, which a folder's name may have stood for; or the name given with bytes.
  const std::string& file() const;
  /// "safetensors", "pytorch", "keras", "hdf5" or "npz"; and whose names its tensors have: "canonical", "nvlabs", "timm",
  /// "jax" or "keras".
  const std::string& format() const;
  const std::string& layout() const;
  /// Sentences that a person should see of how the model was found and read. Mostly none.
  const std::vector<std::string>& notices() const;
  /// Never kAuto: the narrowest in which there are weights.
  Precision precision() const;
  /// Threads of the shared pool.
  int threads() const;

  std::vector<ParameterInfo> parameters() const;
  /// A copy of a parameter's values. Where they were not kept they are unpacked; throws `Error` where opening rounded
  /// what the file has, and of code kNotFound for a name that there isn't.
  std::vector<float> parameter(std::string_view name) const;
  /// Bytes of the packed weights and of all parameters that were kept.
  std::size_t weight_bytes() const;

  /// The `k` most probable classes of an image's logits, most probable first, the lower index first among equals. Throws
  /// `Error` unless there is a logit for each class and k is positive.
  std::vector<Prediction> predictions(std::span<const float> logits, int k = 5) const;
  /// softmax(logits / the file's temperature) of one image into `out`, both of `classes()` floats.
  void probabilities(std::span<const float> logits, std::span<float> out) const;

  struct State;  ///< the library's own
  const State& state() const { return *state_; }

 private:
  explicit Model(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

}  // namespace gcvit
