// SPDX-License-Identifier: Apache-2.0
#include "train/parameter_groups.h"

#include <cmath>
#include <numeric>
#include <optional>
#include <string>

#include "base/error.h"
#include "model/tensor_table.h"

namespace gcvit::train {
namespace {

using model::Part;

model::TensorPlace place_of(const std::string& name) {
  const std::optional<model::TensorPlace> place = model::find_tensor(name);
  if (!place) fail("[train] parameter \"{}\": expected a part of the model", name);
  return *place;
}

/// The block that a tensor of a level counts to: a query generator's to the first, a downsample's to the last.
std::int32_t block_of(const model::TensorPlace& place, const model::GCViTConfig& config) {
  switch (place.row->part) {
    case Part::kBlock: return place.index;
    case Part::kDownsample: return config.depths[static_cast<std::size_t>(place.level)] - 1;
    default: return 0;
  }
}

bool is_frozen(Part part, const std::string& freeze) {
  switch (part) {
    case Part::kStem: return freeze != "none";
    case Part::kQueryGenerator:
    case Part::kBlock:
    case Part::kDownsample: return freeze == "levels" || freeze == "all-but-head";
    case Part::kNorm: return freeze == "all-but-head";
    case Part::kHead: break;
  }
  return false;
}

/// How many layers stand behind the tensor's own.
int layers_behind(const model::TensorPlace& place, const model::GCViTConfig& config) {
  const int blocks = std::accumulate(config.depths.begin(), config.depths.end(), 0);
  switch (place.row->part) {
    case Part::kStem: return blocks + 1;
    case Part::kQueryGenerator:
    case Part::kBlock:
    case Part::kDownsample:
      return blocks -
             std::accumulate(config.depths.begin(), config.depths.begin() + place.level, block_of(place, config));
    case Part::kNorm:
    case Part::kHead: break;
  }
  return 0;
}

bool is_matrix(ops::Role role) {
  return role == ops::Role::kConvolution || role == ops::Role::kLinear || role == ops::Role::kPointwise;
}

}  // namespace

std::vector<ParameterGroup> parameter_groups(std::span<const ops::Parameter* const> parameters,
                                             const model::GCViTConfig& config, const Recipe& recipe) {
  std::vector<ParameterGroup> groups;
  groups.reserve(parameters.size());
  for (const ops::Parameter* parameter : parameters) {
    const model::TensorPlace place = place_of(parameter->name);
    groups.push_back({.trainable = !is_frozen(place.row->part, recipe.freeze),
                      .decayed = model::is_weight(parameter->role),
                      .lr_factor = std::pow(recipe.layer_decay, layers_behind(place, config)),
                      .orthogonalised = recipe.optimizer == "muon" && place.row->part != Part::kHead &&
                                        parameter->name != model::tensors::kStemWeight && is_matrix(parameter->role)});
  }
  return groups;
}

}  // namespace gcvit::train
