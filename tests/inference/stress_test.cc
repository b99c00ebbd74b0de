// SPDX-License-Identifier: Apache-2.0
// One model, many threads: every answer is bitwise the one that a single thread gets.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "gcvit/classifier.h"
#include "gcvit/session.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

constexpr int kThreads = 8;
constexpr std::size_t kCalls = 1000;
constexpr std::size_t kInputs = 5;

/// A configuration with as little to compute as there can be.
model::GCViTConfig smallest_config() {
  model::GCViTConfig config;
  config.dim = 4;
  config.depths = {1, 1, 1, 1};
  config.heads = {1, 1, 1, 1};
  config.windows = {{{2, 2}, {2, 2}, {2, 2}, {1, 1}}};
  config.mlp_ratio = 1.0;
  config.classes = 3;
  config.image_height = config.image_width = 32;
  return config;
}

struct Answers {
  std::vector<float> logits, pooled, batch;
  std::vector<Prediction> predictions;
};

bool same(const std::vector<Prediction>& a, const std::vector<Prediction>& b) {
  return std::ranges::equal(a, b, [](const Prediction& one, const Prediction& other) {
    return one.index == other.index && one.label == other.label && one.probability == other.probability;
  });
}

TEST(Stress, EightThreadsOfMixedCallsOnOneModelGetTheSerialAnswers) {
  const weights::TemporaryFolder folder;
  const std::string file = folder / "m.safetensors";
  model::GCViT model(smallest_config());
  testing::fill_alive(model, 5);
  weights::ModelInfo info;
  info.config = model.config();
  weights::save_model(file, model, info);

  const ClassifierOptions options{.threads = 2, .batch = 2};
  Classifier classifier(file, options);
  const Model& opened = classifier.model();
  std::vector<std::vector<std::uint8_t>> pixels;
  std::vector<Answers> expected;
  Session serial(opened);
  for (unsigned i = 0; i < kInputs; ++i) {
    pixels.push_back(testing::blob_pixels(20, 24, i));
    const Image image = Image::pixels(pixels[i], 20, 24);
    const std::vector<float> tensor = serial.preprocess(image);
    std::vector<float> twice = tensor;
    twice.insert(twice.end(), tensor.begin(), tensor.end());
    expected.push_back({serial.logits(tensor), serial.features(tensor, Feature::kPooled), serial.logits(twice),
                        opened.predictions(serial.logits(tensor), 2)});
  }

  std::vector<int> wrong(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const Model copy = opened;
      Session session(copy, {.threads = t % 4 == 3 ? 1 : 0});
      int& mistakes = wrong[static_cast<std::size_t>(t)];
      for (std::size_t call = 0; call < kCalls; ++call) {
        const std::size_t which = (call + static_cast<std::size_t>(t)) % kInputs;
        const Image image = Image::pixels(pixels[which], 20, 24);
        const Answers& answers = expected[which];
        switch ((call + static_cast<std::size_t>(t)) % 7) {
          case 0: mistakes += session.features(session.preprocess(image), Feature::kPooled) != answers.pooled; break;
          case 1: mistakes += !same(classifier.classify(image, 2), answers.predictions); break;
          case 2: {
            std::vector<float> tensors = session.preprocess(image);
            const std::vector<float> tensor = tensors;
            tensors.insert(tensors.end(), tensor.begin(), tensor.end());
            mistakes += session.logits(tensors, {.batch = 2}) != answers.batch;
            break;
          }
          case 3: mistakes += classifier.logits(classifier.preprocess(image)) != answers.logits; break;
          case 4:
            if (call % 10 == 0) session = Session(copy, {.threads = t % 4 == 3 ? 1 : 0});
            [[fallthrough]];
          default: mistakes += session.logits(session.preprocess(image)) != answers.logits; break;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) EXPECT_EQ(wrong[static_cast<std::size_t>(t)], 0) << "thread " << t;
}

}  // namespace
}  // namespace gcvit
