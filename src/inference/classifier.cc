// SPDX-License-Identifier: Apache-2.0
#include "gcvit/classifier.h"

#include <algorithm>
#include <utility>

#include "inference/session.h"
#include "base/error.h"

namespace gcvit {

Image::Image(Kind kind, std::string name, std::span<const std::byte> bytes, std::int32_t height, std::int32_t width)
    : kind_(kind), name_(std::move(name)), bytes_(bytes), height_(height), width_(width) {}

Image Image::file(std::string path) { return {Kind::kFile, std::move(path), {}, 0, 0}; }

Image Image::encoded(std::span<const std::byte> bytes, std::string name) {
  return {Kind::kEncoded, std::move(name), bytes, 0, 0};
}

Image Image::pixels(std::span<const std::uint8_t> rgb, std::int32_t height, std::int32_t width, std::string name) {
  if (height < 1 || width < 1 || height > image::kMaxSide || width > image::kMaxSide ||
      rgb.size() != static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3) {
    fail("[image] {}: expected height x width x 3 = {} x {} x 3 bytes, sides from 1 to {}, found {} bytes", name,
         height, width, image::kMaxSide, rgb.size());
  }
  return {Kind::kPixels, std::move(name), std::as_bytes(rgb), height, width};
}

struct Classifier::State {
  inference::Session session;
};

Classifier::Classifier(const std::string& model_file, const ClassifierOptions& options)
    : state_(new State{inference::Session(model_file, options)}) {}
Classifier::~Classifier() = default;
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;

std::vector<Prediction> Classifier::classify(const Image& image, int k) {
  return inference::top_predictions(state_->session, logits(preprocess(image)), k);
}

std::vector<ImageResult> Classifier::classify(std::span<const Image> images, int k) {
  std::vector<ImageResult> results;
  results.reserve(images.size());
  classify(images, k, [&](const ImageResult& result) { results.push_back(result); });
  return results;
}

void Classifier::classify(std::span<const Image> images, int k, const std::function<void(const ImageResult&)>& take) {
  if (k < 1) fail("[classifier] k: expected at least 1, found {}", k);
  inference::run_images(state_->session, images, [&](const inference::ImageLogits& image) {
    ImageResult result{image.image, {}, std::string(image.error)};
    if (result.error.empty()) result.predictions = inference::top_predictions(state_->session, image.logits, k);
    take(result);
  });
}

std::vector<float> Classifier::preprocess(const Image& image) {
  const inference::Preparation& preparation = state_->session.preparation;
  std::vector<float> tensor(preparation.tensor_size());
  image::PreprocessScratch scratch;
  image::preprocess(inference::decode(image, preparation.decode), preparation.preprocess, tensor, scratch);
  return tensor;
}

std::vector<float> Classifier::logits(std::span<const float> tensors) {
  inference::Engine& engine = state_->session.engine;
  const auto size = static_cast<std::size_t>(engine.input_size());
  if (tensors.empty() || tensors.size() % size != 0) {
    fail("[classifier] tensors: expected images of {}x{}x3 = {} floats, found {} floats", image_height(), image_width(),
         size, tensors.size());
  }
  const std::size_t step = size * static_cast<std::size_t>(state_->session.batch);
  std::vector<float> all;
  for (std::size_t first = 0; first < tensors.size(); first += step) {
    const std::span<const float> part = engine.run(tensors.subspan(first, std::min(step, tensors.size() - first)));
    all.insert(all.end(), part.begin(), part.end());
  }
  const auto width = static_cast<std::size_t>(classes());
  for (std::size_t image = 0; image * width < all.size(); ++image) {
    const std::string wrong = inference::not_finite(std::span(all).subspan(image * width, width));
    if (!wrong.empty()) fail("[classifier] image {} of {}: {}", image, all.size() / width, wrong);
  }
  return all;
}

std::int32_t Classifier::image_height() const { return state_->session.engine.config().image_height; }
std::int32_t Classifier::image_width() const { return state_->session.engine.config().image_width; }
std::int32_t Classifier::classes() const { return state_->session.engine.config().classes; }

const std::string& Classifier::label(std::int32_t index) const {
  if (index < 0 || index >= classes()) fail("[classifier] class: expected 0 to {}, found {}", classes() - 1, index);
  return state_->session.labels[static_cast<std::size_t>(index)];
}

const std::vector<std::string>& Classifier::notices() const { return state_->session.report.notices; }

std::string Classifier::preprocessing() const { return image::describe(state_->session.preparation.preprocess); }

}  // namespace gcvit
