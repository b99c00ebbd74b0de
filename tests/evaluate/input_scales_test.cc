// SPDX-License-Identifier: Apache-2.0
#include "evaluate/input_scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/preparation.h"
#include "model/tensor_table.h"
#include "tests/inference/test_images.h"
#include "tests/testing/error_of.h"
#include "tests/weights/test_files.h"

namespace gcvit::evaluate {
namespace {

TEST(MagnitudeHistogram, BoundsHoldTheirShareOfTheMagnitudes) {
  std::vector<float> values;
  for (int i = 1; i <= 1000; ++i) values.push_back(static_cast<float>(i % 2 == 0 ? i : -i) / 100.0f);
  MagnitudeHistogram magnitudes;
  magnitudes.add(values);
  EXPECT_EQ(magnitudes.bound(1.0), 10.0f);
  for (const double share : {0.25, 0.5, 0.9, 0.99}) {
    const double exact = 10.0 * share;
    const double bound = static_cast<double>(magnitudes.bound(share));
    EXPECT_GE(bound, exact * (1.0 - 1e-6)) << share;
    EXPECT_LE(bound, exact * (1.0 + 1.0 / 100)) << share;
  }
  EXPECT_EQ(magnitudes.bound(0.9999), 10.0f) << "no bound is over the largest magnitude";
}

TEST(MagnitudeHistogram, ZerosHaveTheBoundZeroAndNoNumbersAreRefused) {
  MagnitudeHistogram magnitudes;
  EXPECT_EQ(magnitudes.bound(1.0), 0.0f);
  magnitudes.add(std::vector<float>(5, -0.0f));
  for (const double share : {1.0, 0.5}) EXPECT_EQ(magnitudes.bound(share), 0.0f);
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(testing::error_of([&] { magnitudes.add(std::vector<float>{1.0f, value}); }),
              "[calibration] a layer's input is not finite");
  }
}

TEST(RoundToScale, GoesToTheNearestHalvesToEvenAndIsCutOff) {
  std::vector<float> values{0.0f, 0.2f, 0.25f, 0.75f, -0.75f, 1.3f, 63.5f, 100.0f, -64.0f, -100.0f};
  round_to_scale(values, 0.5f);
  EXPECT_EQ(values, (std::vector<float>{0.0f, 0.0f, 0.0f, 1.0f, -1.0f, 1.5f, 63.5f, 63.5f, -64.0f, -64.0f}));
}

std::shared_ptr<model::GCViT> tiny_model() {
  auto model = std::make_shared<model::GCViT>(testing::tiny_config());
  testing::fill_alive(*model, 5);
  return model;
}

/// Linear layers and convolutions but the depthwise ones.
std::set<std::string> product_weights(const model::GCViT& model) {
  std::set<std::string> names;
  for (const ops::Parameter* parameter : model.parameters()) {
    if (model::is_weight(parameter->role) && parameter->role != ops::Role::kDepthwise) names.insert(parameter->name);
  }
  return names;
}

TEST(InputHook, SeesEveryProductsInputAndMayChangeIt) {
  const std::shared_ptr<model::GCViT> model = tiny_model();
  inference::Engine engine(model, std::make_shared<ThreadPool>(1));
  const std::vector<float> images = testing::random_values(2 * engine.input_size(), 3);
  const std::span<const float> logits = engine.run(images);
  const std::vector<float> expected(logits.begin(), logits.end());
  std::set<std::string> seen;
  engine.set_input_hook([&](const ops::Parameter& weight, std::span<float> values) {
    EXPECT_TRUE(seen.insert(weight.name).second) << weight.name;
    EXPECT_EQ(std::ssize(values) % (2 * weight.dims[1]), 0) << weight.name;
  });
  EXPECT_LT(testing::relative_error(engine.run(images), expected), 1e-5);
  EXPECT_EQ(seen, product_weights(*model));

  engine.set_input_hook([](const ops::Parameter& weight, std::span<float> values) {
    if (weight.name == "head.weight") std::ranges::fill(values, 0.0f);
  });
  const std::span<const float> biases = engine.run(images);
  EXPECT_EQ(biases[0], biases[static_cast<std::size_t>(model->config().classes)]) << "only the head's bias is left";
  engine.set_input_hook({});
  EXPECT_EQ(testing::relative_error(engine.run(images), expected), 0.0);
}

TEST(InputScaleStudy, TakesTheScalesWithTheSmallestErrorFirst) {
  const weights::TemporaryFolder folder;
  const std::string file = folder / "m.safetensors";
  testing::write_tiny_model(file, testing::colour_names());
  std::filesystem::create_directories(folder / "data/red");
  for (unsigned i = 0; i < 5; ++i) {
    weights::write_text(folder / ("data/red/" + std::to_string(i) + ".png"), testing::blob_png(i));
  }
  const data::ImageSet images = data::open_image_set(folder / "data");
  const inference::Preparation preparation = inference::preparation_for(Model::open(file), {});
  const std::shared_ptr<model::GCViT> model = tiny_model();
  std::vector<InputScaleStudy::Outcome> first;
  for (const int batch : {1, 3}) {
    InputScaleStudy study(model, product_weights(*model), batch, 0);
    int steps = 0;
    study.run(images, {preparation, batch}, [&](std::string_view error) {
      EXPECT_EQ(error, "");
      ++steps;
    });
    EXPECT_EQ(steps, 5);
    EXPECT_EQ(study.images(), 5);
    ASSERT_EQ(study.outcomes().size(), InputScaleStudy::kShares.size());
    for (const InputScaleStudy::Outcome& outcome : study.outcomes()) {
      EXPECT_EQ(outcome.scales.size(), product_weights(*model).size());
      EXPECT_GE(outcome.error.value(), study.outcomes()[0].error.value());
      EXPECT_GT(outcome.error.value(), 0.0);
      EXPECT_LT(outcome.error.value(), 0.2);
    }
    if (first.empty()) first = study.outcomes();
    EXPECT_EQ(study.outcomes()[0].scales, first[0].scales);
    EXPECT_EQ(study.outcomes()[0].error.value(), first[0].error.value());
  }
}

}  // namespace
}  // namespace gcvit::evaluate
