// SPDX-License-Identifier: Apache-2.0
#include "train/parameter_groups.h"

#include <system_error>
#include <charconv>
#include <cmath>
#include <numeric>
#include <string_view>

#include "base/error.h"

namespace gcvit::train {
namespace {

/// Where a parameter stands in the model, read off its name.
struct Place {
  enum class Part { kStem, kLevel, kNorm, kHead } part = Part::kHead;
  int level = 0;
  std::int32_t block = 0;  ///< the one it counts to
};

/// Takes `prefix` off the front of `text` when it is there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::int32_t take_number(std::string_view& text, const std::string& name) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) fail("[train] parameter \"{}\": expected a number in its name", name);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

Place place_of(const std::string& name, const model::GCViTConfig& config) {
  std::string_view rest = name;
  if (take(rest, "patch_embed.")) return {Place::Part::kStem};
  if (take(rest, "norm.")) return {Place::Part::kNorm};
  if (take(rest, "head.")) return {Place::Part::kHead};
  if (!take(rest, "levels.")) fail("[train] parameter \"{}\": expected a part of the model", name);
  Place place{Place::Part::kLevel, take_number(rest, name), 0};
  if (place.level >= model::kLevels) fail("[train] parameter \"{}\": there are {} levels", name, model::kLevels);
  if (take(rest, ".blocks.")) {
    place.block = take_number(rest, name);
  } else if (take(rest, ".downsample.")) {
    place.block = config.depths[static_cast<std::size_t>(place.level)] - 1;
  }
  return place;
}

bool is_frozen(const Place& place, const std::string& freeze) {
  switch (place.part) {
    case Place::Part::kStem: return freeze != "none";
    case Place::Part::kLevel: return freeze == "levels" || freeze == "all-but-head";
    case Place::Part::kNorm: return freeze == "all-but-head";
    case Place::Part::kHead: break;
  }
  return false;
}

/// How many layers stand behind the place's own.
int layers_behind(const Place& place, const model::GCViTConfig& config) {
  const int blocks = std::accumulate(config.depths.begin(), config.depths.end(), 0);
  switch (place.part) {
    case Place::Part::kStem: return blocks + 1;
    case Place::Part::kLevel:
      return blocks - std::accumulate(config.depths.begin(), config.depths.begin() + place.level, place.block);
    case Place::Part::kNorm:
    case Place::Part::kHead: break;
  }
  return 0;
}

bool is_decayed(ops::Role role) {
  using ops::Role;
  return role == Role::kConvolution || role == Role::kDepthwise || role == Role::kLinear || role == Role::kPointwise;
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
    const Place place = place_of(parameter->name, config);
    groups.push_back({.trainable = !is_frozen(place, recipe.freeze),
                      .decayed = is_decayed(parameter->role),
                      .lr_factor = std::pow(recipe.layer_decay, layers_behind(place, config)),
                      .orthogonalised = recipe.optimizer == "muon" && place.part != Place::Part::kHead &&
                                        parameter->name != "patch_embed.proj.weight" && is_matrix(parameter->role)});
  }
  return groups;
}

}  // namespace gcvit::train
