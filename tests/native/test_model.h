// SPDX-License-Identifier: Apache-2.0
// Small models with alive random weights, and how far two results are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include "model/gcvit.h"
#include "model/image_size.h"

namespace gcvit::testing {

inline std::vector<float> random_values(std::int64_t count, unsigned seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

/// A parameter of its own, with values around `centre`.
inline ops::Parameter random_parameter(ops::Role role, Dims dims, unsigned seed, float scale, float centre = 0.0f) {
  static std::int32_t next_id = 0;
  ops::Parameter parameter(role, dims);
  parameter.name = "parameter" + std::to_string(next_id);
  parameter.id = next_id++;
  std::vector<float> values = random_values(element_count(dims), seed, scale);
  for (float& value : values) value += centre;
  parameter.tensor = Tensor::from_values(dims, values);
  parameter.version = 1;
  return parameter;
}

/// Fills a model so that nothing is trivial: norms around 1, biases and bias tables of the size of what they join.
inline void fill_alive(model::GCViT& model, unsigned seed) {
  for (ops::Parameter* parameter : model.parameters()) {
    float scale = 0.3f;
    float centre = 0.0f;
    if (parameter->role == ops::Role::kNormScale) centre = 1.0f;
    if (parameter->role == ops::Role::kLayerScale) centre = 0.7f;
    if (parameter->dims.size() > 1 && parameter->role != ops::Role::kBiasTable) {
      const std::int64_t fan_in = element_count(parameter->dims) / parameter->dims[0];
      scale = 1.2f / std::sqrt(static_cast<float>(fan_in));
    }
    std::vector<float> values = random_values(element_count(parameter->dims), seed++, scale);
    for (float& value : values) value += centre;
    parameter->tensor = Tensor::from_values(parameter->dims, values);
    ++parameter->version;
  }
}

/// A model of a few thousand parameters with every kind of module: two query reductions, one, and none that halves.
inline model::GCViTConfig tiny_config() {
  model::GCViTConfig config;
  config.dim = 8;
  config.depths = {2, 2, 2, 2};
  config.heads = {1, 2, 2, 4};
  config.windows = {{{4, 4}, {4, 4}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 3.0;
  config.classes = 7;
  config.image_height = config.image_width = 64;
  return config;
}

/// The same model for other images, its windows left as they are: maps of 24x40, 12x20, 6x10 and 3x5, which are whole
/// windows in one level, padded in one direction or both in others, and queries of 6x10, 6x10, 6x10 and 3x5.
inline model::GCViTConfig fixed_window_config() {
  return model::with_image_size(tiny_config(), {96, 160}, model::WindowMode::kFixed);
}

/// max |a - b| / max |b|; NaN when one of them holds one.
template <typename A, typename B>
double relative_error(const A& a, const B& b) {
  double difference = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double apart = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (std::isnan(apart)) return apart;
    difference = std::max(difference, apart);
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return largest == 0.0 ? difference : difference / largest;
}

}  // namespace gcvit::testing
