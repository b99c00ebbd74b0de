// SPDX-License-Identifier: Apache-2.0
#include "report/examples.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/softmax.h"
#include "image/resize.h"

namespace gcvit::report {
namespace {

constexpr std::int32_t kThumbnail = 256;

/// A picture that is scaled until its shorter side is that of a square, which is cut out of its middle.
struct Scaled {
  std::int32_t height;
  std::int32_t width;
  std::int32_t top;  ///< of the square
  std::int32_t left;
};

Scaled scaled_to(const image::Image& picture, std::int32_t side) {
  const double scale = static_cast<double>(side) / std::min(picture.width, picture.height);
  const auto scaled = [&](std::int32_t length) {
    return std::max(side, static_cast<std::int32_t>(std::min(std::round(scale * length), 1e9)));
  };
  const std::int32_t height = scaled(picture.height);
  const std::int32_t width = scaled(picture.width);
  return {height, width, (height - side) / 2, (width - side) / 2};
}

}  // namespace

Example example_of(std::size_t image, std::int32_t label, std::span<const float> logits, double temperature) {
  const std::vector<double> probabilities = softmax(logits, temperature);
  const auto best = std::max_element(probabilities.begin(), probabilities.end());
  return {.image = image,
          .label = label,
          .predicted = static_cast<std::int32_t>(best - probabilities.begin()),
          .probability = *best,
          .name = {},
          .picture = {},
          .grad_cam = {}};
}

void SurestMistakes::add(std::size_t image, std::int32_t label, std::span<const float> logits) {
  Example example = example_of(image, label, logits, temperature_);
  if (example.right()) return;
  const auto place = std::upper_bound(found_.begin(), found_.end(), example,
                                      [](const Example& a, const Example& b) { return a.probability > b.probability; });
  found_.insert(place, std::move(example));
  if (found_.size() > count_) found_.pop_back();
}

std::vector<Example> surest_mistakes(const evaluate::LabelledLogits& images, double temperature, std::size_t count) {
  SurestMistakes mistakes(temperature, count);
  for (std::size_t image = 0; image < images.size(); ++image) {
    mistakes.add(image, images.label(image), images.logits(image));
  }
  return mistakes.found();
}

std::vector<std::size_t> spread_out(std::size_t total, std::size_t count) {
  count = std::min(count, total);
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back((2 * i + 1) * total / (2 * count));
  return numbers;
}

std::vector<Example> samples_of(const evaluate::LabelledLogits& images, double temperature, std::size_t count) {
  std::vector<Example> samples;
  for (const std::size_t image : spread_out(images.size(), count)) {
    samples.push_back(example_of(image, images.label(image), images.logits(image), temperature));
  }
  return samples;
}

image::Image thumbnail(const image::Image& picture, std::int32_t side) {
  image::check(picture);
  const Scaled scaled = scaled_to(picture, side);
  image::Image square{side, side, {}};
  square.pixels.resize(static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3);
  image::ResizeScratch scratch;
  image::resize_antialiased(picture, scaled.height, scaled.width, image::Filter::kBicubic,
                            {scaled.top, scaled.left, side, side}, square.pixels, scratch);
  return square;
}

image::Area thumbnail_area(const image::Image& picture, std::int32_t side) {
  image::check(picture);
  const Scaled scaled = scaled_to(picture, side);
  const double down = static_cast<double>(picture.height) / scaled.height;
  const double across = static_cast<double>(picture.width) / scaled.width;
  return {down * scaled.top, across * scaled.left, down * side, across * side};
}

void add_pictures(std::vector<Example>& examples,
                  const std::function<const data::Sample&(std::size_t image)>& sample_of,
                  const image::DecodeOptions& decode, const Explain& explain) {
  for (Example& example : examples) {
    const data::Sample& sample = sample_of(example.image);
    example.name = sample.name;
    try {
      const image::Image photo = data::decode_sample(sample, decode);
      example.picture = thumbnail(photo, kThumbnail);
      if (!explain) continue;
      example.grad_cam = explain(photo, example.predicted, example.picture, thumbnail_area(photo, kThumbnail));
    } catch (const Error&) {
      // It was removed just now, which the report says, or has no map, without which it is shown.
    }
  }
}

}  // namespace gcvit::report
