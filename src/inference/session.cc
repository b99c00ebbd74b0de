// SPDX-License-Identifier: Apache-2.0
#include "inference/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "inference/labels.h"
#include "inference/preprocessing.h"
#include "image/image_queue.h"
#include "base/error.h"
#include "base/softmax.h"

namespace gcvit::inference {
namespace {

constexpr int kMaximalBatch = 1024;

weights::LoadedModel load(const std::string& file, const ClassifierOptions& options) {
  if (options.batch < 1 || options.batch > kMaximalBatch) {
    fail("[classifier] batch: expected 1 to {} photos, found {}", kMaximalBatch, options.batch);
  }
  weights::LoadOptions wanted = load_options_of(options);
  // What no image could go through is refused before tables are resized for it.
  wanted.before_values = [&](const model::GCViT& model) {
    Engine::check_memory(model, 1, options.threads, options.max_memory);
  };
  return weights::load_model(file, wanted);
}

/// As many tensors as keep the model busy for a batch while the next one is made.
std::size_t queue_capacity(int batch, int threads) { return static_cast<std::size_t>(2 * batch + threads); }

}  // namespace

weights::LoadOptions load_options_of(const ClassifierOptions& options) {
  weights::LoadOptions result;
  if (options.image_height != 0 || options.image_width != 0) {
    result.image_size = {options.image_height, options.image_width};
  }
  if (options.window_mode != "exact" && options.window_mode != "fixed") {
    fail("[classifier] window_mode: expected exact or fixed, found \"{}\"", options.window_mode);
  }
  result.window_mode = options.window_mode == "exact" ? model::WindowMode::kExact : model::WindowMode::kFixed;
  result.keras_example_bias = options.keras_example_bias;
  result.averaged = options.ema;
  result.max_memory = options.max_memory;
  return result;
}

image::DecodeOptions decode_options_of(const ClassifierOptions& options) {
  if (options.max_pixels < 1) fail("[classifier] max_pixels: expected at least 1, found 0");
  return {.apply_exif = options.apply_exif, .max_pixels = options.max_pixels, .max_memory = options.max_memory};
}

image::Image decode(const Image& image, const image::DecodeOptions& options) {
  switch (image.kind()) {
    case Image::Kind::kFile: return image::read_image(image.name(), options);
    case Image::Kind::kEncoded: return image::decode(image.bytes(), image.name(), options);
    case Image::Kind::kPixels: break;
  }
  const auto* first = reinterpret_cast<const std::uint8_t*>(image.bytes().data());
  return {image.width(), image.height(), {first, first + image.bytes().size()}};
}

Session::Session(const std::string& model_file, const ClassifierOptions& options)
    : Session(model_file, options, load(model_file, options)) {}

Session::Session(const std::string& model_file, const ClassifierOptions& options, weights::LoadedModel loaded)
    : file(model_file),
      info(std::move(loaded.info)),
      report(std::move(loaded.report)),
      labels(class_labels(info)),
      preparation{preprocessing_of(info, options.preprocess, model_file), decode_options_of(options)},
      engine(std::move(loaded.model), options.threads, options.max_memory),
      batch(options.batch) {}

void prepare_images(
    const Preparation& preparation, std::span<const Image> images, int threads,
    const std::function<void(std::size_t image, std::span<const float> tensor, std::string_view error)>& take) {
  std::vector<image::PreprocessScratch> scratch(static_cast<std::size_t>(std::max(threads, 1)));
  image::ImageQueue queue(images.size(), preparation.tensor_size(), queue_capacity(threads, threads), threads,
                          [&](std::size_t index, std::span<float> tensor, int thread) {
                            image::preprocess(decode(images[index], preparation.decode), preparation.preprocess, tensor,
                                              scratch[static_cast<std::size_t>(thread)]);
                          });
  while (const image::ImageQueue::Image* image = queue.next()) {
    const bool whole = image->error.empty();
    take(image->index, whole ? std::span<const float>(image->tensor) : std::span<const float>(), image->error);
  }
}

void run_images(Session& session, std::span<const Image> images, const std::function<void(const ImageLogits&)>& take) {
  run_images(
      session, images.size(), [&](std::size_t image) { return decode(images[image], session.preparation.decode); },
      [&](std::size_t image) { return images[image].name(); }, take);
}

void run_images(Session& session, std::size_t count, const std::function<image::Image(std::size_t image)>& decode,
                const std::function<std::string(std::size_t image)>& name,
                const std::function<void(const ImageLogits&)>& take) {
  const int threads = session.engine.pool().size();
  const std::size_t size = session.preparation.tensor_size();
  const auto classes = static_cast<std::size_t>(session.engine.config().classes);
  std::vector<image::PreprocessScratch> scratch(static_cast<std::size_t>(threads));
  const std::size_t batch = std::min(static_cast<std::size_t>(session.batch), count);
  if (count > 0) {
    const std::size_t waiting = std::min(count, queue_capacity(session.batch, threads));
    session.engine.check_memory(batch, static_cast<double>(waiting) * static_cast<double>(size));
  }
  image::ImageQueue queue(count, size, queue_capacity(session.batch, threads), threads,
                          [&](std::size_t index, std::span<float> tensor, int thread) {
                            image::preprocess(decode(index), session.preparation.preprocess, tensor,
                                              scratch[static_cast<std::size_t>(thread)]);
                          });
  std::vector<float> tensors(batch * size);
  std::vector<std::pair<std::size_t, std::string>> waiting;  // photos of this batch, broken ones between them
  std::size_t whole = 0;
  const auto flush = [&] {
    std::span<const float> logits;
    if (whole > 0) logits = session.engine.run({tensors.data(), whole * size});
    for (const auto& [index, error] : waiting) {
      if (!error.empty()) {
        take({index, {}, error});
        continue;
      }
      const std::span<const float> own = logits.first(classes);
      logits = logits.subspan(classes);
      if (const std::string wrong = not_finite(own); wrong.empty()) {
        take({index, own, {}});
      } else {
        take({index, {}, fmt::format("[classifier] {}: {}", name(index), wrong), true});
      }
    }
    waiting.clear();
    whole = 0;
  };
  while (const image::ImageQueue::Image* image = queue.next()) {
    waiting.emplace_back(image->index, image->error);
    if (image->error.empty()) {
      std::copy(image->tensor.begin(), image->tensor.end(),
                tensors.begin() + static_cast<std::ptrdiff_t>(whole * size));
      ++whole;
    }
    if (whole == 0 || whole == batch || waiting.size() == 4 * batch) flush();
  }
  flush();
}

std::vector<Prediction> top_predictions(const Session& session, std::span<const float> logits, int k) {
  if (k < 1) fail("[classifier] k: expected at least 1, found {}", k);
  const std::vector<double> probabilities = softmax(logits, session.info.temperature.value_or(1.0));
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t count = std::min(static_cast<std::size_t>(k), order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
      [&](std::size_t a, std::size_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  std::vector<Prediction> predictions;
  for (std::size_t i = 0; i < count; ++i) {
    predictions.push_back(
        {static_cast<std::int32_t>(order[i]), session.labels[order[i]], static_cast<float>(probabilities[order[i]])});
  }
  return predictions;
}

}  // namespace gcvit::inference
