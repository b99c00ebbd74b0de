// SPDX-License-Identifier: Apache-2.0
#include "gcvit/classifier.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "inference/image_pipeline.h"
#include "inference/model_state.h"
#include "inference/run_images.h"
#include "inference/session_state.h"

namespace gcvit {

/// A model, and the sessions that its callers use in turn: as many as ever called at once.
struct Classifier::State {
  Model model;
  SessionOptions session_options;
  int batch;
  std::mutex mutex;
  std::vector<std::unique_ptr<Session>> idle;

  State(const std::string& model_file, const ClassifierOptions& options)
      : model(Model::open(model_file, inference::model_options_of(options))),
        session_options(inference::session_options_of(options)),
        batch(options.batch) {
    idle.push_back(std::make_unique<Session>(model, session_options));  // refuses options out of their range
  }

  /// Holds a session, and gives it back.
  class Lease {
   public:
    explicit Lease(State& state) : state_(state) {
      {
        const std::scoped_lock lock(state_.mutex);
        if (!state_.idle.empty()) {
          session_ = std::move(state_.idle.back());
          state_.idle.pop_back();
        }
      }
      if (!session_) session_ = std::make_unique<Session>(state_.model, state_.session_options);
    }
    ~Lease() {
      const std::scoped_lock lock(state_.mutex);
      state_.idle.push_back(std::move(session_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    Session& operator*() { return *session_; }
    Session* operator->() { return session_.get(); }

   private:
    State& state_;
    std::unique_ptr<Session> session_;
  };
};

Classifier::Classifier(const std::string& model_file, const ClassifierOptions& options) {
  static_cast<void>(inference::checked_batch(options.batch));  // before a file is opened
  state_ = std::make_unique<State>(model_file, options);
}
Classifier::~Classifier() = default;
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;

std::vector<Prediction> Classifier::classify(const Image& image, int k) {
  State::Lease session(*state_);
  return model().predictions(session->logits(session->preprocess(image)), k);
}

std::vector<ImageResult> Classifier::classify(std::span<const Image> images, int k) {
  std::vector<ImageResult> results;
  results.reserve(images.size());
  classify(images, k, [&](const ImageResult& result) { results.push_back(result); });
  return results;
}

void Classifier::classify(std::span<const Image> images, int k, const std::function<void(const ImageResult&)>& take) {
  if (k < 1) fail("[classifier] k: expected at least 1, found {}", k);
  if (images.empty()) return;
  State::Lease session(*state_);
  // No more than there are images, which is what their memory is held against.
  const auto batch = static_cast<int>(std::min(static_cast<std::size_t>(state_->batch), images.size()));
  inference::run_images(*session, batch, images, [&](const ImageLogits& image) {
    ImageResult result{image.image, {}, image.error, image.code};
    if (result.error.empty()) result.predictions = model().predictions(image.logits, k);
    take(result);
  });
}

std::vector<float> Classifier::preprocess(const Image& image) { return State::Lease(*state_)->preprocess(image); }

std::vector<float> Classifier::logits(std::span<const float> tensors) {
  return State::Lease(*state_)->logits(tensors, {.batch = state_->batch});
}

const Model& Classifier::model() const { return state_->model; }
std::int32_t Classifier::image_height() const { return model().image_height(); }
std::int32_t Classifier::image_width() const { return model().image_width(); }
std::int32_t Classifier::classes() const { return model().classes(); }

const std::string& Classifier::label(std::int32_t index) const {
  if (index < 0 || index >= classes()) {
    fail(ErrorCode::kNotFound, "[classifier] class: expected 0 to {}, found {}", classes() - 1, index);
  }
  return model().labels()[static_cast<std::size_t>(index)];
}

const std::vector<std::string>& Classifier::notices() const { return model().notices(); }

std::string Classifier::preprocessing() const {
  State::Lease session(*state_);
  return image::describe((*session).state().preparation.preprocess);
}

}  // namespace gcvit
