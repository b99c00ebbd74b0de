// SPDX-License-Identifier: Apache-2.0
// A model file on its way to an answer: what loads as a model becomes a classifier, with its class names, its
// preprocessing and its temperature, and a small one says what it sees in a photo.
#include <cmath>
#include <cstdint>
#include <vector>

#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "gcvit/classifier.h"
#include "formats/safetensors.h"

namespace gcvit::fuzz {
namespace {

constexpr std::int64_t kMostPixels = 64 * 64;
constexpr std::int32_t kMostClasses = 4096;

void run(const Input& input, Budget& budget) {
  const weights::LoadedModel loaded = load(formats::parse_safetensors(input.bytes, input.owner, "fuzz"), budget);
  const model::GCViTConfig& config = loaded.info.config;
  if (std::int64_t{config.image_height} * config.image_width > kMostPixels || config.classes > kMostClasses) return;

  const MemoryFile file(input.bytes);
  Classifier classifier(file.path(), {.threads = 1, .batch = 1});
  budget.allow_parameters(parameters_of(*loaded.model), 3);  // loaded again, and packed
  const std::vector<std::uint8_t> pixels(std::size_t{40} * 24 * 3, 99);
  const std::vector<Prediction> predictions = classifier.classify(Image::pixels(pixels, 40, 24), 5);
  expect(!predictions.empty() && predictions.size() <= 5, "a photo's classes");
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const Prediction& prediction = predictions[i];
    expect(prediction.index >= 0 && prediction.index < classifier.classes(), "a class of the model's");
    expect(prediction.label == classifier.label(prediction.index), "the class's name");
    expect(std::isfinite(prediction.probability) && prediction.probability >= 0.0f && prediction.probability <= 1.0f,
           "a probability");
    expect(i == 0 || prediction.probability <= predictions[i - 1].probability, "the most probable class first");
  }
  (void)classifier.preprocessing();
}

const Registration registration({.name = "classifier_fuzz", .run = run, .mutate = mutate_safetensors});

}  // namespace
}  // namespace gcvit::fuzz
