// SPDX-License-Identifier: Apache-2.0
#include "model/initialise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace gcvit::model {
namespace {

GCViTConfig tiny_config() {
  GCViTConfig config;
  config.dim = 16;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 8};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.image_height = config.image_width = 64;
  config.layer_scale = true;
  return config;
}

TEST(Initialise, FillsEveryParameterByItsRole) {
  GCViT model(tiny_config());
  initialise(model, 1);
  for (const Parameter* parameter : model.parameters()) {
    ASSERT_EQ(parameter->tensor.dims(), parameter->dims) << parameter->name;
    EXPECT_EQ(parameter->version, 1u);
    const std::span<const float> values = parameter->tensor.values();
    const auto [smallest, largest] = std::ranges::minmax(values);
    double squares = 0.0;
    for (const float value : values) squares += double{value} * value;
    const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
    switch (parameter->role) {
      case ops::Role::kLinear: EXPECT_NEAR(deviation, 0.02, 0.006) << parameter->name; break;
      case ops::Role::kBiasTable: EXPECT_GT(deviation, 0.005) << parameter->name; break;
      case ops::Role::kConvolution:
      case ops::Role::kDepthwise:
      case ops::Role::kPointwise: {
        const auto fan_in = static_cast<double>(values.size()) / static_cast<double>(parameter->dims[0]);
        const double bound = 1.0 / std::sqrt(fan_in);
        EXPECT_LE(largest, bound) << parameter->name;
        EXPECT_GE(smallest, -bound) << parameter->name;
        EXPECT_NEAR(deviation, bound / std::sqrt(3.0), 0.1 * bound) << parameter->name;
        break;
      }
      case ops::Role::kNormScale: EXPECT_TRUE(smallest == 1.0f && largest == 1.0f) << parameter->name; break;
      case ops::Role::kLayerScale: EXPECT_TRUE(smallest == 1e-5f && largest == 1e-5f) << parameter->name; break;
      case ops::Role::kBias:
      case ops::Role::kNormShift: EXPECT_TRUE(smallest == 0.0f && largest == 0.0f) << parameter->name; break;
    }
  }
}

TEST(Initialise, DependsOnSeedAndNameAlone) {
  GCViT model(tiny_config());
  GCViT same(tiny_config());
  initialise(model, 1);
  Parameter& head = **std::ranges::find(same.parameters(), "head.weight", &Parameter::name);
  Parameter& first = *same.parameters()[0];
  initialise(head, 1);
  initialise(first, 2);
  const Parameter& other = **std::ranges::find(model.parameters(), "head.weight", &Parameter::name);
  EXPECT_TRUE(std::ranges::equal(head.tensor.values(), other.tensor.values()));
  EXPECT_FALSE(std::ranges::equal(first.tensor.values(), model.parameters()[0]->tensor.values()));
}

}  // namespace
}  // namespace gcvit::model
