// SPDX-License-Identifier: Apache-2.0
#include "train/optimiser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "model/gcvit.h"
#include "native/native_backend.h"
#include "native/parameter_vector.h"
#include "tests/native/test_model.h"
#include "tests/testing/error_of.h"
#include "tests/train/reference.h"
#include "train/gradient_sum.h"

namespace gcvit::train {
namespace {

using native::ParameterVector;
using ops::Parameter;
using ops::Role;

/// The head's weight [2, 3] and bias [2] of the reference.
struct Head {
  Parameter weight{Role::kLinear, {2, 3}};
  Parameter bias{Role::kBias, {2}};
  std::vector<Parameter*> parameters{&weight, &bias};
  std::vector<const Parameter*> constant{&weight, &bias};

  explicit Head(const nlohmann::json& reference) {
    weight.name = "head.weight";
    bias.name = "head.bias";
    weight.id = 0;
    bias.id = 1;
    weight.tensor = Tensor::from_values({2, 3}, testing::floats(reference["weight"]));
    bias.tensor = Tensor::from_values({2}, testing::floats(reference["bias"]));
  }

  ParameterVector vector(const std::vector<float>& values) const {
    ParameterVector result(constant);
    std::copy_n(values.begin(), 6, result.of(weight).begin());
    std::copy_n(values.begin() + 6, 2, result.of(bias).begin());
    return result;
  }
  std::vector<float> values() const {
    std::vector<float> result(weight.tensor.values().begin(), weight.tensor.values().end());
    result.insert(result.end(), bias.tensor.values().begin(), bias.tensor.values().end());
    return result;
  }
};

const std::vector<ParameterGroup> kGroups{{.decayed = true}, {}};

Recipe plain_recipe(const std::string& optimizer) {
  Recipe recipe;
  recipe.optimizer = optimizer;
  recipe.weight_decay = 0.1;
  recipe.clip_grad = 0.0;
  return recipe;
}

void expect_trace(const Recipe& recipe, const nlohmann::json& reference, const std::string& run) {
  Head head(reference);
  ThreadPool pool(2);
  native::NativeBackend executor(pool);
  Optimiser optimiser(recipe, head.parameters, kGroups, executor);
  for (std::size_t step = 0; step < reference["gradients"].size(); ++step) {
    const ParameterVector gradient = head.vector(testing::floats(reference["gradients"][step]));
    optimiser.step(gradient, reference["lr"], optimiser.gradient_norm(gradient));
    const std::vector<float> found = head.values();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double expected = reference["runs"].at(run)[step][i];
      EXPECT_NEAR(found[i], expected, 5e-7 * std::max(1.0, std::abs(expected))) << run << " step " << step << " " << i;
    }
  }
  EXPECT_EQ(optimiser.updates(), 5);
  EXPECT_EQ(head.weight.version, 5u);
}

TEST(Optimiser, AdamAdamWAndSgdArePyTorchsClippedOrNot) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  for (const std::string name : {"adam", "adamw", "sgd"}) {
    Recipe recipe = plain_recipe(name);
    expect_trace(recipe, reference, name + " clip 0.0");
    recipe.clip_grad = 0.5;
    expect_trace(recipe, reference, name + " clip 0.5");
  }
}

TEST(Optimiser, KerasFormIsKerasAdam) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  Recipe recipe = plain_recipe("adam");
  recipe.weight_decay = 0.0;
  recipe.adam_form = "keras";
  recipe.adam_epsilon = 1e-7;
  expect_trace(recipe, reference, "keras adam");
}

TEST(Optimiser, TheAverageFollowsAndChangesPlaces) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  Head head(reference);
  Recipe recipe = plain_recipe("sgd");
  recipe.ema_decay = 0.15;
  ThreadPool pool(1);
  native::NativeBackend executor(pool);
  Optimiser optimiser(recipe, head.parameters, kGroups, executor);
  std::vector<double> average;
  for (const float value : head.values()) average.push_back(value);
  for (int step = 0; step < 3; ++step) {
    const ParameterVector gradient = head.vector(testing::floats(reference["gradients"][0]));
    optimiser.step(gradient, 0.1, 1.0);
    const double decay = std::min(0.15, (1.0 + step) / (10.0 + step));  // 0.1, then 0.15
    for (std::size_t i = 0; i < average.size(); ++i) {
      average[i] = decay * average[i] + (1.0 - decay) * static_cast<double>(head.values()[i]);
    }
  }
  const std::vector<float> weights = head.values();
  {
    const WithAverage with(optimiser);
    for (std::size_t i = 0; i < average.size(); ++i) EXPECT_NEAR(head.values()[i], average[i], 1e-6);
    EXPECT_EQ(head.weight.version, 4u);
  }
  EXPECT_EQ(head.values(), weights);
}

TEST(Optimiser, WhatIsFrozenStays) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  Head head(reference);
  const std::vector<float> before = head.values();
  ThreadPool pool(1);
  native::NativeBackend executor(pool);
  Optimiser optimiser(plain_recipe("adamw"), head.parameters, {{.trainable = false, .decayed = true}, {}}, executor);
  const ParameterVector gradient = head.vector(testing::floats(reference["gradients"][0]));
  const std::vector<float> values = testing::floats(reference["gradients"][0]);
  EXPECT_NEAR(optimiser.gradient_norm(gradient), std::hypot(values[6], values[7]), 1e-6);
  optimiser.step(gradient, 0.1, 1.0);
  const std::vector<float> after = head.values();
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(after[i], before[i]);
  EXPECT_NE(after[6], before[6]);
  EXPECT_EQ(head.weight.version, 0u);
}

TEST(Optimiser, ALayersFactorScalesItsRate) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  Head head(reference);
  const std::vector<float> before = head.values();
  ThreadPool pool(1);
  native::NativeBackend executor(pool);
  Recipe recipe = plain_recipe("sgd");
  recipe.weight_decay = recipe.momentum = 0.0;
  Optimiser optimiser(recipe, head.parameters, {{.lr_factor = 0.5}, {}}, executor);
  const std::vector<float> gradient = testing::floats(reference["gradients"][0]);
  optimiser.step(head.vector(gradient), 0.1, 1.0);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(head.values()[i], before[i] - (i < 6 ? 0.05f : 0.1f) * gradient[i], 1e-6);
  }
}

/// One step over a whole model and its weights' bits.
std::vector<float> step_on(int threads) {
  model::GCViT model(testing::tiny_config());
  testing::fill_alive(model, 3);
  ThreadPool pool(threads);
  native::NativeBackend executor(pool);
  Recipe recipe = plain_recipe("adamw");
  recipe.ema_decay = 0.9;
  recipe.clip_grad = 1.0;
  std::vector<const Parameter*> constant(model.parameters().begin(), model.parameters().end());
  Optimiser optimiser(recipe, model.parameters(), parameter_groups(constant, model.config(), recipe), executor);
  GradientSum sum(constant, executor);
  for (unsigned slice = 0; slice < 5; ++slice) {
    const std::span<float> all = native::own(sum.next()).all();
    const std::vector<float> values = testing::random_values(static_cast<std::int64_t>(all.size()), slice);
    std::copy(values.begin(), values.end(), all.begin());
    sum.add();
  }
  const ops::ParameterVector& gradient = sum.finish();
  optimiser.step(gradient, 0.01, optimiser.gradient_norm(gradient));
  std::vector<float> bits;
  for (const Parameter* parameter : constant) {
    bits.insert(bits.end(), parameter->tensor.values().begin(), parameter->tensor.values().end());
  }
  return bits;
}

TEST(Optimiser, TheSameBitsOnAnyNumberOfThreads) {
  const std::vector<float> one = step_on(1);
  for (const int threads : {2, 7}) {
    const std::vector<float> found = step_on(threads);
    EXPECT_EQ(std::memcmp(found.data(), one.data(), one.size() * sizeof(float)), 0) << threads;
  }
}

TEST(GradientSum, AddsInTheTreeOfItsNumber) {
  const nlohmann::json reference = testing::read_reference("optimiser.json");
  const Head head(reference);
  ThreadPool pool(2);
  native::NativeBackend executor(pool);
  GradientSum sum(head.constant, executor);
  for (const int count : {1, 2, 3, 6, 7, 11}) {
    std::vector<float> slices;
    for (int i = 0; i < count; ++i) {
      slices.push_back(1.0f / static_cast<float>(3 + i * i));
      sum.next().write(head.weight, std::vector<float>(6, slices.back()));
      sum.add();
    }
    // Pairs of neighbours, again and again; with the last of an odd number left as it is: the tree of a binary counter.
    std::vector<float> level = slices;
    while (level.size() > 1) {
      std::vector<float> above;
      for (std::size_t i = 0; i + 1 < level.size(); i += 2) above.push_back(level[i] + level[i + 1]);
      if (level.size() % 2 == 1) above.push_back(level.back());
      level = above;
    }
    const ops::ParameterVector& total = sum.finish();
    EXPECT_EQ(total.read(head.weight)[0], level[0]) << count;
    EXPECT_EQ(total.read(head.weight)[5], level[0]) << count;
    EXPECT_EQ(total.read(head.bias)[0], 0.0f) << count;
  }
  EXPECT_EQ(testing::error_of([&] { (void)sum.finish(); }), "[train] expected the gradient of at least one slice");
}

TEST(ParameterGroups, DecayAndLayerDecay) {
  model::GCViTConfig config = testing::tiny_config();
  config.layer_scale = true;
  const model::GCViT model(config);
  Recipe recipe = preset("finetune");
  recipe.layer_decay = 0.5;
  const std::vector<ParameterGroup> groups = parameter_groups(model.parameters(), config, recipe);
  const auto group = [&](const std::string& name) {
    for (const Parameter* parameter : model.parameters()) {
      if (parameter->name == name) return groups[static_cast<std::size_t>(parameter->id)];
    }
    ADD_FAILURE() << name;
    return ParameterGroup{};
  };
  for (const char* name : {"patch_embed.proj.weight", "levels.0.blocks.0.attn.qkv.weight", "head.weight",
                           "levels.0.downsample.reduction.weight"}) {
    EXPECT_TRUE(group(name).decayed) << name;
  }
  for (const char* name :
       {"patch_embed.proj.bias", "levels.0.blocks.0.attn.qkv.bias", "levels.1.blocks.1.gamma1", "norm.weight",
        "levels.0.blocks.0.attn.relative_position_bias_table", "levels.0.blocks.0.norm1.weight", "head.bias"}) {
    EXPECT_FALSE(group(name).decayed) << name;
  }
  // 8 blocks: the stem lies 9 layers before the head, the first block 8, the last one 1.
  EXPECT_EQ(group("patch_embed.proj.weight").lr_factor, std::pow(0.5, 9));
  EXPECT_EQ(group("levels.0.q_global_gen.to_q_global.0.conv.0.weight").lr_factor, std::pow(0.5, 8));
  EXPECT_EQ(group("levels.0.blocks.0.norm1.weight").lr_factor, std::pow(0.5, 8));
  EXPECT_EQ(group("levels.0.downsample.reduction.weight").lr_factor, std::pow(0.5, 7));
  EXPECT_EQ(group("levels.3.blocks.1.mlp.fc2.bias").lr_factor, 0.5);
  EXPECT_EQ(group("norm.weight").lr_factor, 1.0);
  EXPECT_EQ(group("head.bias").lr_factor, 1.0);
}

TEST(ParameterGroups, Freezing) {
  const model::GCViT model(testing::tiny_config());
  const auto frozen = [&](const char* freeze) {
    Recipe recipe = preset("finetune");
    recipe.freeze = freeze;
    std::string parts;
    const std::vector<ParameterGroup> groups = parameter_groups(model.parameters(), model.config(), recipe);
    for (const char* part : {"patch_embed.", "levels.", "norm.", "head."}) {
      bool any = false;
      bool all = true;
      for (const Parameter* parameter : model.parameters()) {
        if (!parameter->name.starts_with(part)) continue;
        const bool is = !groups[static_cast<std::size_t>(parameter->id)].trainable;
        any = any || is;
        all = all && is;
      }
      EXPECT_EQ(any, all) << freeze << " " << part;
      if (all) parts += part;
    }
    return parts;
  };
  EXPECT_EQ(frozen("none"), "");
  EXPECT_EQ(frozen("stem"), "patch_embed.");
  EXPECT_EQ(frozen("levels"), "patch_embed.levels.");
  EXPECT_EQ(frozen("all-but-head"), "patch_embed.levels.norm.");
}

}  // namespace
}  // namespace gcvit::train
