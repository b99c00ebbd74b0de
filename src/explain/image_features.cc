// SPDX-License-Identifier: Apache-2.0
#include "explain/image_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "inference/image_pipeline.h"
#include "inference/session_state.h"

namespace gcvit::explain {
namespace {

/// Decoded images that wait for the model, and the errors among them, in order.
class Batch {
 public:
  Batch(Session& session, std::span<const Image> images, Feature feature, std::size_t batch)
      : session_(session.state()),
        images_(images),
        name_(name_of(feature)),
        size_(session.shape_of(feature).size()),
        batch_(batch) {
    const std::size_t ahead = 3 * static_cast<std::size_t>(session_.engine.pool().size());
    const std::size_t floats = (batch + ahead) * session_.preparation.tensor_size() + batch * size_;
    session_.engine.check_memory(batch, static_cast<double>(floats));
    session_.engine.set_hook([this](std::string_view name, const ops::Shape&, std::span<const float> values) {
      if (name == name_) values_.insert(values_.end(), values.begin(), values.end());
    });
  }
  ~Batch() { session_.engine.set_hook({}); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  void add(std::size_t image, std::span<const float> tensor, std::string_view error) {
    waiting_.push_back({image, std::string(error)});
    tensors_.insert(tensors_.end(), tensor.begin(), tensor.end());
  }
  bool is_full() const { return tensors_.size() >= batch_ * session_.preparation.tensor_size(); }

  template <typename Take>
  void run(Take&& take) {
    values_.clear();
    if (!tensors_.empty()) session_.engine.run(tensors_);
    std::span<const float> values = values_;
    for (const Waiting& one : waiting_) {
      if (!one.error.empty()) {
        take(one.image, {}, one.error);
        continue;
      }
      const std::span<const float> own = values.first(size_);
      values = values.subspan(size_);
      if (std::ranges::all_of(own, [](float value) { return std::isfinite(value); })) {
        take(one.image, own, "");
      } else {
        take(one.image, {},
             fmt::format("[features] {}: {} is not finite: the weights overflow float32", images_[one.image].name(),
                         name_));
      }
    }
    tensors_.clear();
    waiting_.clear();
  }

 private:
  struct Waiting {
    std::size_t image;
    std::string error;
  };

  Session::State& session_;
  std::span<const Image> images_;
  std::string_view name_;
  std::size_t size_;
  std::size_t batch_;
  std::vector<float> tensors_;
  std::vector<float> values_;
  std::vector<Waiting> waiting_;
};

}  // namespace

void features_of_images(
    Session& session, std::span<const Image> images, Feature feature, int batch,
    const std::function<void(std::size_t image, std::span<const float> values, std::string_view error)>& take) {
  if (images.empty()) return;
  Batch waiting(session, images, feature, std::min(inference::checked_batch(batch), images.size()));
  inference::prepare_images(session.state().preparation, images, session.threads(),
                            [&](std::size_t image, std::span<const float> tensor, std::string_view error) {
                              waiting.add(image, tensor, error);
                              if (waiting.is_full()) waiting.run(take);
                            });
  waiting.run(take);
}

std::vector<float> fingerprint(Session& session) {
  constexpr std::uint64_t kSeed = 1;
  std::vector<float> tensor(session.tensor_size());
  Random random(kSeed);
  for (float& value : tensor) value = 4.0f * random.uniform() - 2.0f;
  return session.features(tensor, Feature::kPooled);
}

}  // namespace gcvit::explain
