// SPDX-License-Identifier: Apache-2.0
#include "gcvit/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "inference/model_state.h"
#include "inference/session_state.h"

namespace gcvit {
namespace {

constexpr std::array<std::string_view, 6> kFeatureNames = {"level1", "level2",   "level3",
                                                           "level4", "features", "pooled"};
constexpr std::array<std::string_view, 5> kPresetNames = {"auto", "timm", "nvlabs", "keras", "keras-train"};

void expect_room(std::string_view what, std::size_t expected, std::size_t found) {
  if (expected != found) fail("[session] {}: expected room for {} floats, found {}", what, expected, found);
}

void check(const RunOptions& options) {
  if (options.batch < 1 || options.batch > inference::kMaximalBatch) {
    fail("[session] batch: expected 1 to {} images, found {}", inference::kMaximalBatch, options.batch);
  }
}

}  // namespace

std::string_view name_of(Feature feature) { return kFeatureNames.at(static_cast<std::size_t>(feature)); }
std::string_view name_of(Preset preset) { return kPresetNames.at(static_cast<std::size_t>(preset)); }

Session::State::State(Model opened, const SessionOptions& options)
    : model(std::move(opened)),
      preparation(inference::preparation_for(model, options.images)),
      engine(model, inference::pool_for(model, options.threads)) {}

std::size_t Session::State::images_of(std::span<const float> tensors) const {
  const auto size = static_cast<std::size_t>(engine.input_size());
  if (tensors.empty() || tensors.size() % size != 0) {
    fail("[classifier] tensors: expected images of {}x{}x3 = {} floats, found {} floats", model.image_height(),
         model.image_width(), size, tensors.size());
  }
  return tensors.size() / size;
}

void Session::State::run(std::span<const float> tensors, const RunOptions& options, const Take& take,
                         const decltype(RunOptions::tap)& tap_slice) {
  check(options);
  const std::size_t images = images_of(tensors);
  const auto size = static_cast<std::size_t>(engine.input_size());
  engine.set_hook([&](std::string_view name, const ops::Shape& shape, std::span<const float> values) {
    if (options.stop.stop_requested()) fail(ErrorCode::kCancelled, "[session] the run was cancelled");
    const ValueShape value{shape.height, shape.width, shape.channels};
    if (options.tap) options.tap(name, value, values);
    if (tap_slice) tap_slice(name, value, values);
  });
  struct Unhook {
    inference::Engine& engine;
    ~Unhook() { engine.set_hook({}); }
  } unhook{engine};
  using Together = inference::Engine::Together;
  const Together together = options.tap ? Together::kYes : Together::kNo;
  for (std::size_t first = 0; first < images;) {
    const std::size_t count = std::min(static_cast<std::size_t>(options.batch), images - first);
    take(first, count, engine.run(tensors.subspan(first * size, count * size), together));
    first += count;
    if (options.progress) options.progress(first, images);
  }
}

Session::Session(Model model, const SessionOptions& options)
    : state_(std::make_unique<State>(std::move(model), options)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Model& Session::model() const { return state_->model; }
int Session::threads() const { return state_->engine.pool().size(); }
std::size_t Session::tensor_size() const { return state_->preparation.tensor_size(); }

void Session::preprocess(const Image& image, std::span<float> out) {
  image::preprocess(inference::decode(image, state_->preparation.decode), state_->preparation.preprocess, out,
                    state_->scratch);
}

std::vector<float> Session::preprocess(const Image& image) {
  std::vector<float> tensor(tensor_size());
  preprocess(image, tensor);
  return tensor;
}

void Session::logits(std::span<const float> tensors, std::span<float> out, const RunOptions& options) {
  const std::size_t images = state_->images_of(tensors);
  const auto classes = static_cast<std::size_t>(model().classes());
  expect_room("logits", images * classes, out.size());
  state_->run(tensors, options, [&](std::size_t first, std::size_t count, std::span<const float> logits) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string wrong = inference::not_finite(logits.subspan(i * classes, classes));
      if (!wrong.empty()) fail("[classifier] image {} of {}: {}", first + i, images, wrong);
    }
    std::ranges::copy(logits, out.begin() + static_cast<std::ptrdiff_t>(first * classes));
  });
}

std::vector<float> Session::logits(std::span<const float> tensors, const RunOptions& options) {
  std::vector<float> out(state_->images_of(tensors) * static_cast<std::size_t>(model().classes()));
  logits(tensors, out, options);
  return out;
}

void Session::probabilities(std::span<const float> tensors, std::span<float> out, const RunOptions& options) {
  logits(tensors, out, options);
  const auto classes = static_cast<std::size_t>(model().classes());
  for (std::size_t first = 0; first < out.size(); first += classes) {
    model().probabilities(out.subspan(first, classes), out.subspan(first, classes));
  }
}

std::vector<float> Session::probabilities(std::span<const float> tensors, const RunOptions& options) {
  std::vector<float> out(state_->images_of(tensors) * static_cast<std::size_t>(model().classes()));
  probabilities(tensors, out, options);
  return out;
}

ValueShape Session::shape_of(Feature feature) const {
  const model::GCViTConfig& config = state_->engine.config();
  const int level = std::min(static_cast<int>(feature), model::kLevels - 1);
  if (feature == Feature::kPooled) return {1, 1, config.channels(level)};
  const ops::Window map = config.map(level);
  return {map.height, map.width, config.channels(level)};
}

void Session::features(std::span<const float> tensors, Feature feature, std::span<float> out,
                       const RunOptions& options) {
  const std::size_t size = shape_of(feature).size();
  expect_room("features", state_->images_of(tensors) * size, out.size());
  auto to = out.begin();
  state_->run(
      tensors, options, [](std::size_t, std::size_t, std::span<const float>) {},
      [&](std::string_view name, const ValueShape&, std::span<const float> values) {
        if (name == name_of(feature)) to = std::ranges::copy(values, to).out;
      });
}

std::vector<float> Session::features(std::span<const float> tensors, Feature feature, const RunOptions& options) {
  std::vector<float> out(state_->images_of(tensors) * shape_of(feature).size());
  features(tensors, feature, out, options);
  return out;
}

}  // namespace gcvit
