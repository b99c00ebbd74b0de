// SPDX-License-Identifier: Apache-2.0
// The same model, trainer and optimiser on two executors: the native one, and plain scalar loops with a scalar tape.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "tests/native/test_model.h"
#include "tests/testing/scalar_executor.h"
#include "tests/testing/training_reference.h"
#include "tests/train/reference_source.h"
#include "train/make_executor.h"
#include "train/parameter_groups.h"
#include "train/trainer.h"

namespace gcvit::train {
namespace {

constexpr std::int32_t kImages = 3;

/// Small for the scalar tape: maps of 8x8 to 1x1, windows of 2x2 and 1x1.
model::GCViTConfig config() {
  model::GCViTConfig config = testing::tiny_config();
  config.windows = {{{2, 2}, {2, 2}, {2, 2}, {1, 1}}};
  config.image_height = config.image_width = 32;
  config.layer_scale = true;
  config.drop_path = 0.5f;
  return config;
}

std::unique_ptr<model::GCViT> make_model() {
  auto model = std::make_unique<model::GCViT>(config());
  testing::fill_alive(*model, 51);
  return model;
}

Network network_of(model::GCViT& model, const Recipe& recipe) {
  const model::GCViTConfig& config = model.config();
  return {.parameters = {model.parameters().begin(), model.parameters().end()},
          .groups = parameter_groups(std::as_const(model).parameters(), config, recipe),
          .input = {config.image_height, config.image_width, 3},
          .classes = config.classes,
          .forward = [&model](ops::Backend& backend, const ops::Value& x) { return model.forward(backend, x); }};
}

class Executors : public ::testing::Test {
 protected:
  ThreadPool pool_{2};
  std::unique_ptr<ops::TrainingExecutor> native_ = make_executor(pool_);
  std::unique_ptr<ops::TrainingExecutor> scalar_ = std::make_unique<testing::ScalarExecutor>();
};

TEST_F(Executors, NamedValuesOfAModelAreTheSame) {
  const auto model = make_model();
  const ops::Shape image{32, 32, 3};
  const std::vector<float> images = testing::reference_images(0, kImages, image.size());
  const auto taps_on = [&](ops::Executor& executor) {
    std::map<std::string, std::vector<float>> taps;
    executor.set_tap_hook([&](std::string_view name, const ops::Value& value) {
      const std::span<const float> values = executor.read(value);
      taps[std::string(name)].assign(values.begin(), values.end());
    });
    executor.start(kImages);
    static_cast<void>(model->forward(executor, executor.input(image, images)));
    return taps;
  };
  const auto found = taps_on(*native_);
  const auto expected = taps_on(*scalar_);
  ASSERT_TRUE(expected.contains("logits"));
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, values] : expected) {
    ASSERT_EQ(found.at(name).size(), values.size()) << name;
    EXPECT_LE(testing::relative_error(found.at(name), values), 1e-5) << name;
  }
}

TEST_F(Executors, GradientsOfAModelAreTheSame) {
  const auto model = make_model();
  const ops::Shape image{32, 32, 3};
  const std::vector<float> images = testing::reference_images(0, kImages, image.size());
  const std::vector<float> slope = testing::random_values(kImages * model->config().classes, 52);
  std::set<std::pair<std::int32_t, std::int32_t>> asked;
  const auto gradients_on = [&](ops::TrainingExecutor& executor) {
    asked.clear();
    ops::TrainingExecutor::Training training;
    training.keeps_branch = [&](std::int32_t n, std::int32_t branch, float drop_path) {
      EXPECT_GT(drop_path, 0.0f);
      asked.emplace(n, branch);
      return (n + branch) % 3 != 0;
    };
    executor.start_training(kImages, std::move(training));
    const ops::Value input = executor.input(image, images);
    executor.retain_grad(input);
    const ops::Value logits = model->forward(executor, input);
    auto gradients = executor.make_vector(std::as_const(*model).parameters());
    executor.backward(logits, slope, *gradients);
    std::map<std::string, std::vector<float>> result;
    for (const ops::Parameter* parameter : std::as_const(*model).parameters()) {
      const std::span<const float> values = gradients->read(*parameter);
      result[parameter->name].assign(values.begin(), values.end());
    }
    const std::span<const float> of_input = executor.gradient_of(input);
    result["input"].assign(of_input.begin(), of_input.end());
    return result;
  };
  const auto found = gradients_on(*native_);
  const auto found_asked = asked;
  const auto expected = gradients_on(*scalar_);
  EXPECT_EQ(found_asked, asked);
  int zeros = 0;
  for (const auto& [name, values] : expected) {
    const auto size = [](float value) { return std::abs(value); };
    if (size(std::ranges::max(values, {}, size)) > 1e-9f) {
      EXPECT_LE(testing::relative_error(found.at(name), values), 1e-4) << name;
    } else {  // rounding: nothing depends on the queries and keys of windows of one token
      EXPECT_TRUE(name.starts_with("levels.3")) << name;
      EXPECT_LE(size(std::ranges::max(found.at(name), {}, size)), 1e-6f) << name;
      ++zeros;
    }
  }
  EXPECT_EQ(zeros, 6);
}

class TrainerOnExecutors : public Executors, public ::testing::WithParamInterface<std::string> {
 protected:
  static constexpr double kTolerance = 2e-5;

  using Weights = std::vector<std::vector<float>>;  ///< by parameter
  std::map<const model::GCViT*, Weights> weights_, averages_;
};

TEST_P(TrainerOnExecutors, StepsLeaveTheSameWeights) {
  Recipe recipe;
  recipe.optimizer = GetParam();
  recipe.batch_size = kImages;
  recipe.lr = GetParam() == "sgd" ? 0.5 : 0.01;
  recipe.adam_epsilon = 1e-3;  // where a gradient is nothing but rounding, so is its step
  recipe.ema_decay = 0.5;
  recipe.clip_grad = 1.0;
  recipe.drop_path = 0.5;
  recipe.layer_decay = 0.75;
  recipe.label_smoothing = 0.1;
  const auto train_on = [&](std::unique_ptr<ops::TrainingExecutor> executor, model::GCViT& model, double& loss) {
    Trainer trainer(network_of(model, recipe), recipe, nullptr, std::move(executor),
                    [](const data::SkippedSample&) { FAIL(); });
    ReferenceSource source(kImages, trainer.network().input.size(), trainer.network().classes);
    // The last of the steps expects more photos than there are.
    for (int step = 0; step < 2; ++step) {
      const auto result = trainer.step(source, step, kImages + step, recipe.lr);
      ASSERT_TRUE(result.has_value());
      loss = result->loss_sum;
    }
    trainer.check_last_step(true);
    trainer.update_tensors();
    trainer.optimiser().swap_average();  // the tensors have the average now, the average what the steps left
    for (const Optimiser::Slot& slot : trainer.optimiser().slots()) {
      if (slot.name != "ema") continue;
      for (ops::Parameter* parameter : model.parameters()) {
        const std::span<const float> weights = slot.values->read(*parameter);
        averages_[&model].emplace_back(parameter->tensor.values().begin(), parameter->tensor.values().end());
        weights_[&model].emplace_back(weights.begin(), weights.end());
      }
    }
  };
  const auto untrained = make_model();
  const auto model = make_model();
  const auto twin = make_model();
  double loss = 0.0;
  double twin_loss = 1.0;
  train_on(std::move(native_), *model, loss);
  train_on(std::move(scalar_), *twin, twin_loss);
  EXPECT_NEAR(loss, twin_loss, 1e-5 * twin_loss);
  const std::size_t count = untrained->parameters().size();
  ASSERT_EQ(weights_[model.get()].size(), count);
  ASSERT_EQ(weights_[twin.get()].size(), count);
  for (std::size_t p = 0; p < count; ++p) {
    const ops::Parameter& before = *untrained->parameters()[p];
    EXPECT_LE(testing::relative_error(weights_[model.get()][p], weights_[twin.get()][p]), kTolerance) << before.name;
    EXPECT_LE(testing::relative_error(averages_[model.get()][p], averages_[twin.get()][p]), kTolerance) << before.name;
    if (before.name.starts_with("levels.3")) continue;  // windows of one token: queries and keys change nothing there
    EXPECT_GT(testing::relative_error(weights_[twin.get()][p], before.tensor.values()), 3 * kTolerance) << before.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Optimisers, TrainerOnExecutors, ::testing::Values("sgd", "adam", "adamw", "muon"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gcvit::train
