// SPDX-License-Identifier: Apache-2.0
// The losses of the first 20 steps of training against PyTorch's with the same weights, batches and recipe
// (tests/data/training/traces.json, written by tools/parity/make_training_traces.py).
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <utility>

#include "tests/testing/training_reference.h"
#include "tests/train/reference_source.h"
#include "train/make_executor.h"
#include "train/schedule.h"
#include "train/trainer.h"
#include "weights/load.h"

namespace gcvit::train {
namespace {

constexpr double kTolerance = 1e-4;

const nlohmann::json& traces() {
  static const nlohmann::json json = nlohmann::json::parse(std::ifstream(testing::training_file("traces.json")));
  return json;
}

/// The recipe's fields that `fields` names, the others as they are without any preset's opinion.
Recipe recipe_of(const nlohmann::json& fields) {
  nlohmann::json json = to_json(Recipe());
  json.update(fields);
  return recipe_from_json(json, "traces.json");
}

class GoldenTrace : public ::testing::TestWithParam<std::string> {
 protected:
  GoldenTrace()
      : expected_(traces().at("traces").at(GetParam())),
        recipe_(recipe_of(expected_.at("recipe"))),
        loaded_(
            weights::load_model(testing::training_file(traces().at("weights").get<std::string>() + ".safetensors"))) {
    // A loaded model's tensors may view the file; training writes its own.
    for (ops::Parameter* parameter : loaded_.model->parameters()) {
      parameter->tensor = Tensor::from_values(parameter->dims, parameter->tensor.values());
    }
  }

  Network network() const {
    model::GCViT& model = *loaded_.model;
    const model::GCViTConfig& config = model.config();
    const std::vector<const ops::Parameter*> parameters(model.parameters().begin(), model.parameters().end());
    return {.parameters = {model.parameters().begin(), model.parameters().end()},
            .groups = parameter_groups(parameters, config, recipe_),
            .input = {config.image_height, config.image_width, 3},
            .classes = config.classes,
            .forward = [&model](ops::Backend& backend, const ops::Value& x) { return model.forward(backend, x); }};
  }

  nlohmann::json expected_;
  Recipe recipe_;
  weights::LoadedModel loaded_;
};

TEST_P(GoldenTrace, LossesArePyTorchs) {
  const Network network = this->network();
  ReferenceSource source(recipe_.batch_size, network.input.size(), network.classes);
  const Schedule schedule(recipe_, traces().at("steps_per_epoch").get<std::int64_t>());
  ThreadPool pool(2);
  Trainer trainer(network, recipe_, nullptr, make_executor(pool), [](const data::SkippedSample&) { FAIL(); });
  const auto losses = expected_.at("losses").get<std::vector<double>>();
  ASSERT_EQ(losses.size(), 20u);
  ASSERT_EQ(schedule.steps(), 20);
  for (std::int64_t step = 0; step < schedule.steps(); ++step) {
    const auto result = trainer.step(source, step, recipe_.batch_size, schedule.lr(step));
    ASSERT_TRUE(result.has_value());
    ASSERT_EQ(result->images, recipe_.batch_size);
    const double expected = losses[static_cast<std::size_t>(step)];
    EXPECT_NEAR(result->loss_sum / recipe_.batch_size, expected, kTolerance * expected) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Optimisers, GoldenTrace, ::testing::Values("adamw", "adam", "sgd", "keras_adam", "scheduled"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gcvit::train
