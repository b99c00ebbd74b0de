// SPDX-License-Identifier: Apache-2.0
// The bits that this version computes: hashes of fixed models' taps and of weights behind twenty steps of training, for
// each SIMD target, against tests/data/signature/signatures.json. Weights and images are multiples of powers of two that
// integers give, so no mathematical library, no compiler and no decoder has a part in them. A commit that means to change
// bits writes the file anew, and says why (CONTRIBUTING.md).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kernels/bf16_pairs.h"
#include "kernels/bf16_tiles.h"
#include "kernels/target.h"
#include "model/image_size.h"
#include "native/native_backend.h"
#include "digest/sha256.h"
#include "inference/precision.h"
#include "tests/native/test_model.h"
#include "tests/testing/training_reference.h"
#include "tests/train/reference_source.h"
#include "train/make_executor.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace gcvit {
namespace {

/// By name: what was computed, and its hash.
using Signatures = std::map<std::string, std::string>;

const std::string& file() {
  static const std::string path = std::string(GCVIT_TEST_DATA) + "/signature/signatures.json";
  return path;
}

std::string hash_of(std::span<const float> values) {
  Sha256 sha;
  sha.update(std::as_bytes(values));
  return sha.finish().substr(0, 16);
}

/// Multiples of 1/64 within [-2, 2) by the parameter's place, scaled by a power of two to about the size of an alive
/// model's: norms around 1.
void fill(model::GCViT& model) {
  std::int64_t place = 0;
  for (ops::Parameter* parameter : model.parameters()) {
    std::vector<float> values = testing::reference_images(place, 1, element_count(parameter->dims));
    place += element_count(parameter->dims);
    float scale = 0.25f;
    float centre = 0.0f;
    if (parameter->role == ops::Role::kNormScale) centre = 1.0f;
    if (parameter->role == ops::Role::kLayerScale) centre = 0.5f;
    if (parameter->dims.size() > 1 && parameter->role != ops::Role::kBiasTable) {
      // The largest power of two whose square times the fan-in is at most 1.
      const std::int64_t fan_in = element_count(parameter->dims) / parameter->dims[0];
      for (scale = 1.0f; scale * scale * static_cast<float>(fan_in) > 1.0f;) scale *= 0.5f;
    }
    for (float& value : values) value = centre + scale * value;
    parameter->tensor = Tensor::from_values(parameter->dims, values);
    ++parameter->version;
  }
}

/// Models that go through every path of the kernels that a whole one goes through.
std::map<std::string, model::GCViTConfig> models() {
  std::map<std::string, model::GCViTConfig> models;
  models["tiny"] = testing::tiny_config();
  models["padded_windows"] = testing::fixed_window_config();
  // Windows and widths of the published variants: 7x7 and 14x14, heads of 32 channels.
  model::GCViTConfig published = testing::tiny_config();
  published.dim = 32;
  published.depths = {1, 1, 2, 1};
  published.heads = {1, 2, 4, 8};
  published.windows = {{{7, 7}, {7, 7}, {14, 14}, {7, 7}}};
  published.classes = 10;
  published.image_height = published.image_width = 224;
  models["published"] = published;
  // Keras' way, layer scale, and widths that no vector divides.
  model::GCViTConfig odd = testing::tiny_config();
  odd.dim = 12;
  odd.heads = {3, 1, 2, 6};
  odd.mlp_ratio = 1.75;
  odd.layer_scale = true;
  odd.pool_padding = ops::PoolPadding::kZero;
  odd.windows = {{{3, 2}, {3, 2}, {3, 2}, {3, 2}}};
  odd.image_height = 96;
  odd.image_width = 64;
  models["odd"] = odd;
  return models;
}

/// Hashes of all taps of the first image, computed in a batch of `batch`; `images` are that many.
Signatures infer(const model::GCViT& model, native::NativeBackend& backend, std::int32_t batch,
                 std::span<const float> images) {
  const ops::Shape shape{model.config().image_height, model.config().image_width, 3};
  Signatures signatures;
  backend.set_tap_hook([&](std::string_view name, const ops::Value& value) {
    const std::span<const float> values = backend.read(value);
    signatures[std::string(name)] = hash_of(values.first(values.size() / static_cast<std::size_t>(batch)));
  });
  backend.start(batch);
  (void)model.forward(backend, backend.input(shape, images));
  backend.set_tap_hook({});
  return signatures;
}

/// The taps' hashes, which no batch and no number of threads changes.
Signatures infer_everywhere(const std::string& name, const model::GCViTConfig& config, Precision precision) {
  model::GCViT model(config);
  fill(model);
  inference::set_precision(precision, model);
  EXPECT_EQ(inference::precision_of(model), precision);
  const ops::Shape shape{config.image_height, config.image_width, 3};
  const bool large = config.image_height > 200;
  const std::vector<float> images = testing::reference_images(1, 5, shape.size());
  Signatures first;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    native::NativeBackend backend(pool);
    for (const std::int32_t batch : large ? std::vector{1, 2} : std::vector{1, 2, 5}) {
      const auto count = static_cast<std::size_t>(batch * shape.size());
      const Signatures found = infer(model, backend, batch, std::span(images).first(count));
      if (first.empty()) first = found;
      EXPECT_EQ(found, first) << name << ": " << threads << " threads, batch of " << batch;
    }
  }
  Signatures named;
  for (const auto& [tap, hash] : first) named["inference " + name + " " + tap] = hash;
  return named;
}

/// The hash of all weights behind twenty steps.
std::string train_twenty_steps(const model::GCViTConfig& config, const train::Recipe& recipe, int threads) {
  model::GCViTConfig trained = config;
  trained.drop_path = static_cast<float>(recipe.drop_path);
  model::GCViT model(trained);
  fill(model);
  const std::vector<const ops::Parameter*> parameters(model.parameters().begin(), model.parameters().end());
  const train::Network network{
      .parameters = {model.parameters().begin(), model.parameters().end()},
      .groups = train::parameter_groups(parameters, trained, recipe),
      .input = {trained.image_height, trained.image_width, 3},
      .classes = trained.classes,
      .forward = [&model](ops::Backend& backend, const ops::Value& x) { return model.forward(backend, x); }};
  train::ReferenceSource source(recipe.batch_size, network.input.size(), network.classes);
  const train::Schedule schedule(recipe, 10);
  ThreadPool pool(threads);
  train::Trainer trainer(network, recipe, nullptr, train::make_executor(pool),
                         [](const data::SkippedSample&) { FAIL(); });
  for (std::int64_t step = 0; step < 20; ++step) {
    EXPECT_TRUE(trainer.step(source, step, recipe.batch_size, schedule.lr(step)).has_value());
  }
  Sha256 sha;
  for (const ops::Parameter* parameter : parameters) sha.update(std::as_bytes(parameter->tensor.values()));
  return sha.finish().substr(0, 16);
}

struct Training {
  model::GCViTConfig config;
  train::Recipe recipe;
};

constexpr const char* kOdd = "adamw odd, drop path";

std::map<std::string, Training> trainings() {
  const std::map<std::string, model::GCViTConfig> configs = models();
  train::Recipe recipe;  // no preset's opinion
  recipe.epochs = 2;
  recipe.batch_size = 5;
  recipe.sched = "cosine";
  recipe.warmup_epochs = 0.5;
  recipe.label_smoothing = 0.125;
  std::map<std::string, Training> trainings;
  for (const char* const optimizer : {"adamw", "muon", "sgd"}) {
    recipe.optimizer = optimizer;
    trainings[optimizer] = {configs.at("tiny"), recipe};
  }
  recipe.optimizer = "adamw";
  recipe.drop_path = 0.25;
  recipe.layer_decay = 0.75;
  recipe.ema_decay = 0.875;
  trainings[kOdd] = {configs.at("odd"), recipe};
  recipe.grad_checkpointing = true;
  trainings["adamw padded, recomputed"] = {configs.at("padded_windows"), recipe};
  return trainings;
}

Signatures infer_all(Precision precision) {
  Signatures all;
  for (const auto& [name, config] : models()) all.merge(infer_everywhere(name, config, precision));
  return all;
}

Signatures compute_f32() {
  Signatures all = infer_all(Precision::kF32);
  for (const auto& [name, training] : trainings()) {
    all["training " + name] = train_twenty_steps(training.config, training.recipe, 1);
  }
  const Training odd = trainings().at(kOdd);
  EXPECT_EQ(train_twenty_steps(odd.config, odd.recipe, 3), all[std::string("training ") + kOdd]);
  return all;
}

Signatures compute_bf16() {
  Training training{testing::tiny_config(), {}};
  training.recipe.batch_size = 5;
  training.recipe.dtype = "bf16";
  Signatures all = infer_all(Precision::kBf16);
  all["training adamw bf16"] = train_twenty_steps(training.config, training.recipe, 2);
  return all;
}

/// What attention multiplies under a target where the model is int8: bfloat16 where the CPU has instructions for it.
std::string int8_form(const std::string& target) {
  return target == "AVX3" && kernels::has_bf16_pairs() ? "AVX3 pairs" : target;
}

/// What multiplies bfloat16 under a target: the CPU's own instructions round the sums in another way.
std::string bf16_form(const std::string& target) {
  if (target != "AVX3") return target;
  return kernels::has_bf16_tiles() ? "AVX3 tiles" : kernels::has_bf16_pairs() ? "AVX3 pairs" : target;
}

TEST(Signature, IsThatOfEachTargetInTheFile) {
  const std::string before = kernels::target();
  const char* const write_to = std::getenv("GCVIT_WRITE_SIGNATURES");
  nlohmann::ordered_json known = nlohmann::ordered_json::parse(std::ifstream(file()), nullptr, false);
  ASSERT_TRUE(known.is_object() || write_to != nullptr) << file();
  if (!known.is_object()) known = nlohmann::ordered_json::object();
  std::size_t compared = 0;
  for (const std::string& target : kernels::available_targets()) {
    SCOPED_TRACE(target);
    kernels::force_target(target);
    for (const auto& [key, found] :
         {std::pair(target, compute_f32()), std::pair(int8_form(target) + ", int8", infer_all(Precision::kInt8)),
          std::pair(bf16_form(target) + ", bf16", compute_bf16())}) {
      if (write_to != nullptr) {
        known[key] = found;
      } else if (const auto entry = known.find(key); entry != known.end()) {
        EXPECT_EQ(found, entry->get<Signatures>()) << key;
        ++compared;
      } else {
        // Nobody has had such a CPU yet: what was computed is the same in any batch and on any number of threads.
        std::printf("no signatures of %s: %s\n", key.c_str(), nlohmann::json(found).dump().c_str());
      }
    }
  }
  kernels::force_target(before);
  if (write_to != nullptr) {
    std::ofstream(write_to) << known.dump(1) << "\n";
  } else {
    EXPECT_GE(compared, 1u) << "expected one target at least that " << file() << " knows";
  }
}

}  // namespace
}  // namespace gcvit
