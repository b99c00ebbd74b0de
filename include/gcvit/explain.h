// SPDX-License-Identifier: Apache-2.0
// Why a model says what it says: maps over its input.
//
//     gcvit::Explainer explainer(gcvit::Model::open("gcvit_flowers.safetensors"));
//     const std::vector<float> tensor = explainer.session().preprocess(gcvit::Image::file("rose.jpg"));
//     const gcvit::Explanation why = explainer.grad_cam(tensor);
//     std::cout << why.label << ' ' << why.map.height << 'x' << why.map.width << '\n';
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

#include "gcvit/export.h"
#include "gcvit/model.h"
#include "gcvit/session.h"

namespace gcvit {

/// Values over the model's input: height x width equal cells that cover it, top row first.
struct HeatMap {
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::vector<float> values = {};
};

enum class ExplainMethod : std::uint8_t { kGradCam, kAttention, kOcclusion };

/// "grad-cam", "attention", "occlusion".
GCVIT_EXPORT std::string_view name_of(ExplainMethod method);

/// What of a class is explained.
enum class ExplainedScore : std::uint8_t {
  kLogit,  ///< as the model gives it
  kProbability,  ///< softmax over all classes, of logits / temperature where the file has one fitted
};

/// "logit", "probability".
GCVIT_EXPORT std::string_view name_of(ExplainedScore score);

struct Explanation {
  ExplainMethod method = ExplainMethod::kGradCam;
  std::int32_t index = -1;  ///< of the class, from 0; -1 for attention, which is no class's
  std::string label = {};  ///< the class's name; empty for attention
  ExplainedScore of = ExplainedScore::kLogit;
  float score = 0;  ///< the class's logit or probability on the whole input
  std::int32_t level =
      0;  ///< 1 to 4: of that level's map; 0: of the last map behind the final norm, or of the input (occlusion)
  HeatMap map = {};  ///< not normalised
  float lowest = 0;  ///< of the map's values
  float highest = 0;
  bool empty = false;  ///< all values are equal: the map points at nothing
};

struct GradCamOptions {
  std::optional<std::int32_t> target = {};  ///< class index; the most probable class without one
  ExplainedScore score = ExplainedScore::kLogit;
  /// 1 to 4: that level's map before it is downsampled; 0: the last map behind the final norm, which costs no more than a forward.
  std::int32_t level = 0;
  /// Keep what going backward from a level needs of the weights for the next call: their memory again, for the time to pack them.
  bool keep_gradient_weights = false;
  std::stop_token stop = {};  ///< ends it with an `Error` of code kCancelled
};

/// A cell of a map, from 0, the top row first.
struct MapCell {
  std::int32_t row = 0;
  std::int32_t column = 0;
};

struct AttentionOptions {
  std::int32_t level = 3;  ///< 1 to 4
  /// From 0. Even blocks are local: positions attend to each other inside their window. In odd ones the image's global query attends to
  /// every window. Without one the level's last global block, or its last block where it has no global one.
  std::optional<std::int32_t> block = {};
  std::optional<std::int32_t> head = {};  ///< from 0; the mean of all heads without one
  /// Of a global block: whose look at every window is shown, a cell of the global query (as large as a window). Of a local block: a
  /// cell of the level's map, whose look at its own window is shown; all else is 0. Without one the mean over all queries.
  std::optional<MapCell> query = {};
  std::stop_token stop = {};
};

struct OcclusionOptions {
  std::optional<std::int32_t> target = {};  ///< class index; the most probable class without one
  ExplainedScore score = ExplainedScore::kProbability;
  /// Side of the square patch in pixels of the model's input; 0: a seventh of the shorter side.
  std::int32_t patch = 0;
  std::int32_t stride = 0;  ///< pixels from patch to patch, at most the patch's side; 0: half of it
  int batch = 8;  ///< occluded inputs that go through the model together; no result depends on it
  std::function<void(std::size_t done, std::size_t patches)> progress = {};  ///< called behind each batch
  std::stop_token stop = {};
};

/// Explains what a model makes of an input. Of one thread at a time, like a session; any number of explainers may share a model. All
/// failures are thrown as `Error`, after which it can be used again. The same input gives the same bits on any number of threads.
class GCVIT_EXPORT Explainer {
 public:
  explicit Explainer(Model model, const SessionOptions& options = {});
  ~Explainer();
  Explainer(Explainer&&) noexcept;
  Explainer& operator=(Explainer&&) noexcept;

  /// What makes tensors of images; no run of it may be going on while it explains.
  Session& session();
  const Model& model() const;
  /// The index of the class with this name; throws `Error` of code kNotFound where there is none, or several.
  std::int32_t class_named(std::string_view label) const;

  /// Grad-CAM (Selvaraju et al., ICCV 2017) on a map A [height, width, channels]: ReLU(sum over c of w_c A_c), where w_c is the mean
  /// over positions of d score / d A_c. `tensor`: one input as Session::preprocess makes it. At a level it takes the memory of the
  /// weights behind that level again, during the call, and that of its maps as long as the explainer lives. Where weights are int8 or
  /// bfloat16, the gradients are those of their values.
  Explanation grad_cam(std::span<const float> tensor, const GradCamOptions& options = {});
  /// Where a block's attention looks: for each key the mean over queries (or one query's) of softmax(q k^T / sqrt(d) + bias), at the
  /// key's place. The values of a window add up to 1, those that its padding gets included.
  Explanation attention(std::span<const float> tensor, const AttentionOptions& options = {});
  /// How much the score falls when a patch of the input is painted over with the preprocessing's mean colour: for each pixel the mean over
  /// the patches that cover it. The map's cells are the largest ones that no patch cuts.
  Explanation occlusion(std::span<const float> tensor, const OcclusionOptions& options = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit
