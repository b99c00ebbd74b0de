// SPDX-License-Identifier: Apache-2.0
// Going backward to a value alone: no parameter is trained.
#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <vector>

#include "native/native_backend.h"
#include "native/pack_model.h"
#include "tests/native/test_model.h"

namespace gcvit::native {
namespace {

using testing::fill_alive;
using testing::random_values;

/// d loss / d (a level's map), the loss's gradient by the logits being random.
std::vector<float> gradient_of_level(NativeBackend& backend, const model::GCViT& model, std::string_view level,
                                     ops::TrainingExecutor::Training training) {
  const bool trains = training.trainable.empty();
  backend.start_training(2, std::move(training));
  ops::Value map;
  backend.set_tap_hook([&](std::string_view name, const ops::Value& value) {
    if (name != level) return;
    map = value;
    backend.retain_grad(map);
  });
  const model::GCViTConfig& config = model.config();
  const std::int64_t size = std::int64_t{config.image_height} * config.image_width * 3;
  const ops::Value logits =
      model.forward(backend, backend.input({config.image_height, config.image_width, 3}, random_values(2 * size, 1)));
  backend.set_tap_hook({});
  const auto none = backend.make_vector(trains ? model.parameters() : std::span<const ops::Parameter* const>());
  backend.backward(logits, random_values(2 * logits.shape().size(), 2), *none);
  const std::span<const float> gradient = backend.gradient_of(map);
  return {gradient.begin(), gradient.end()};
}

ops::TrainingExecutor::Training frozen(const model::GCViT& model, bool recompute_sublayers = false) {
  ops::TrainingExecutor::Training training;
  training.trainable.assign(model.parameters().size(), false);
  training.recompute_sublayers = recompute_sublayers;
  return training;
}

void expect_the_same_gradients(const model::GCViTConfig& config) {
  model::GCViT model(config);
  fill_alive(model, 5);
  ThreadPool pool(2);
  NativeBackend backend(pool);
  for (const std::string_view level : {"level1", "level2", "level3", "level4"}) {
    const std::vector<float> expected = gradient_of_level(backend, model, level, {});
    EXPECT_EQ(gradient_of_level(backend, model, level, frozen(model)), expected) << level;
    EXPECT_EQ(gradient_of_level(backend, model, level, frozen(model, true)), expected) << level;
  }
}

TEST(FrozenGradientTest, ValuesHaveTheSameGradientWhenNothingIsTrained) {
  expect_the_same_gradients(testing::tiny_config());
}

TEST(FrozenGradientTest, LikewiseWithPaddedWindowsAndLayerScale) {
  model::GCViTConfig config = testing::fixed_window_config();
  config.layer_scale = true;
  expect_the_same_gradients(config);
}

TEST(FrozenGradientTest, FormsOfASharedModelGoWithTheRun) {
  model::GCViT model(testing::tiny_config());
  fill_alive(model, 5);
  ThreadPool pool(2);
  NativeBackend own(pool);
  const std::vector<float> expected = gradient_of_level(own, model, "level2", frozen(model));

  std::vector<ops::TypedValues> values;
  for (const ops::Parameter* parameter : model.parameters()) values.push_back({parameter->tensor, {}});
  for (ops::Parameter* parameter : model.parameters()) parameter->tensor = {};
  const auto forward = [&](ops::Backend& backend) {
    model.forward(backend, ops::Value(backend, 0, {model.config().image_height, model.config().image_width, 3}));
  };
  const std::shared_ptr<PackedParameters> packed = pack_model(
      forward, model.parameters(),
      [&](const ops::Parameter& parameter) { return values[static_cast<std::size_t>(parameter.id)]; }, pool);
  const std::int64_t bytes = packed->bytes();
  NativeBackend first(pool, packed);
  NativeBackend second(pool, packed);
  EXPECT_EQ(gradient_of_level(first, model, "level2", frozen(model)), expected);
  const std::int64_t with_forms = packed->bytes();
  EXPECT_GT(with_forms, bytes);
  EXPECT_EQ(gradient_of_level(second, model, "level2", frozen(model)), expected);
  EXPECT_EQ(packed->bytes(), with_forms);  // shared
  first.start(1);
  EXPECT_EQ(packed->bytes(), with_forms);  // the second's run holds them
  second.start(1);
  EXPECT_EQ(packed->bytes(), bytes);
}

}  // namespace
}  // namespace gcvit::native
