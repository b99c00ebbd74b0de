// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "gcvit/error.h"
#include "base/json.h"
#include "formats/in_quotes.h"
#include "weights/keras_names.h"

namespace gcvit::weights {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

constexpr JsonLimits kConfigLimits{.values = std::size_t{1} << 16};
constexpr std::size_t kLayersShown = 4;
constexpr std::string_view kContainer = "layers";
constexpr std::string_view kWholeModel = "model_weights";

/// Letters alone: "GCViT" is saved as "gc_vi_t", or "my_package>GCViT" by older ones.
std::string letters_of(std::string_view name) {
  name.remove_prefix(name.rfind('>') + 1);
  std::string letters;
  for (const char letter : name) {
    if (letter >= 'A' && letter <= 'Z') letters.push_back(static_cast<char>(letter + ('a' - 'A')));
    if ((letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9')) letters.push_back(letter);
  }
  return letters;
}

/// Layers that change nothing once a model is trained; RandomCrop crops then as well.
bool changes_nothing(std::string_view name) {
  static constexpr std::string_view kSame[] = {"inputlayer",      "dropout",      "spatialdropout2d",
                                               "gaussiandropout", "alphadropout", "gaussiannoise",
                                               "randaugment",     "augmix",       "mixup",
                                               "cutmix",          "identity",     "activityregularization"};
  const std::string letters = letters_of(stem_and_number(name).first);
  return std::ranges::find(kSame, letters) != std::end(kSame) ||
         (letters.starts_with("random") && letters != "randomcrop");
}

/// What a file has beside layers.
bool is_no_layer(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "vars",     "optimizer",     "optimizer_weights", "top_level_model_weights", "metrics",
      "_metrics", "_loss_tracker", "compile_metrics",   "seed_generator"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

/// The groups beside the model's and beside those that it lies in.
class Groups {
 public:
  Groups(std::span<const std::string> groups, std::string_view model)
      : groups_(groups.begin(), groups.end()), model_(model) {
    collect("");
  }

  Names layers;

 private:
  void collect(const std::string& parent) {
    auto next = groups_.lower_bound(parent);
    while (next != groups_.end() && next->starts_with(parent)) {
      const std::string name(next->substr(parent.size(), next->find('/', parent.size()) - parent.size()));
      const std::string below = parent + name + "/";
      visit(name, below);
      next = groups_.lower_bound(parent + name + "0");  // the first behind all that lies below: '0' follows '/'
    }
  }

  void visit(const std::string& name, const std::string& below) {
    if (below == model_ || name.empty() || is_no_layer(name)) return;
    if (model_.starts_with(below) || name == kContainer) {
      collect(below);
    } else if (groups_.contains(below + std::string(kContainer))) {
      collect(below + std::string(kContainer) + "/");
    } else if (!changes_nothing(name)) {
      layers.push_back(formats::in_quotes(name));
    }
  }

  std::set<std::string_view> groups_;
  std::string_view model_;
};

/// A member of an object; nullptr when there is none.
const json* member(const json& value, const char* name) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(name);
  return found == value.end() ? nullptr : &*found;
}

std::string text_in(const json& value, const char* key) {
  const json* const text = member(value, key);
  return text != nullptr && text->is_string() ? text->get<std::string>() : "";
}

std::string class_of(const json& layer) { return text_in(layer, "class_name"); }

std::string name_of(const json& layer) {
  const json* const config = member(layer, "config");
  return config == nullptr ? "" : text_in(*config, "name");
}

const json* layers_in(const json& layer) {
  const json* const config = member(layer, "config");
  const json* const layers = config == nullptr ? nullptr : member(*config, "layers");
  return layers != nullptr && layers->is_array() ? layers : nullptr;
}

/// The numbers that a layer which shifts and scales was made with: " (scale 0.1, offset -1)".
std::string numbers_of(const json& layer) {
  const json* const config = member(layer, "config");
  std::string numbers;
  for (const char* name : {"scale", "offset", "mean", "variance"}) {
    const json* const value = config == nullptr ? nullptr : member(*config, name);
    if (value == nullptr) continue;
    const bool few = value->is_array() && value->size() <= 3 &&
                     std::ranges::all_of(*value, [](const json& element) { return element.is_number(); });
    if (!few && !value->is_number()) continue;
    numbers += fmt::format("{}{} {}", numbers.empty() ? " (" : ", ", name, value->dump());
  }
  return numbers.empty() ? "" : numbers + ")";
}

/// Appends a layer, or those in it.
void append(const json& layer, Names& names) {
  if (const json* const layers = layers_in(layer)) {
    for (const json& one : *layers) append(one, names);
  } else if (const std::string name = class_of(layer); !changes_nothing(name)) {
    names.push_back(formats::in_quotes(name) + numbers_of(layer));
  }
}

/// The layers before the model by the config, whose layers stand in order; nothing when it doesn't lead to the model.
std::optional<Names> layers_before(const json& config, std::string_view model) {
  Names names;
  const json* part = &config;
  // A whole model as .h5 has groups called as its layers, others by their classes.
  const bool by_name = model.starts_with(kWholeModel);
  const std::string_view container = by_name ? kWholeModel : kContainer;
  while (!model.empty()) {
    if (!model.starts_with(container)) return std::nullopt;
    model.remove_prefix(std::min(container.size() + 1, model.size()));
    const std::string_view group = model.substr(0, model.find('/'));
    model.remove_prefix(std::min(group.size() + 1, model.size()));
    // The groups of a class are numbered as they come.
    auto [stem, number] = stem_and_number(group);
    const json* const layers = layers_in(*part);
    if (layers == nullptr) return std::nullopt;
    part = nullptr;
    for (const json& layer : *layers) {
      if (by_name ? name_of(layer) == group : letters_of(class_of(layer)) == letters_of(stem) && number-- == 0) {
        part = &layer;
        break;
      }
      append(layer, names);
    }
    if (part == nullptr) return std::nullopt;
  }
  return names;
}

}  // namespace

std::string notice_of_other_layers(std::span<const std::string> groups, std::string_view config,
                                   std::string_view model) {
  if (model.empty()) return "";
  std::optional<Names> before;
  if (!config.empty()) {
    try {
      before = layers_before(parse_json(config, "weights", "config.json", kConfigLimits), model);
    } catch (const Error&) {
      // The groups tell nearly as much.
    }
  }
  Names layers = before ? std::move(*before) : Groups(groups, model).layers;
  if (layers.empty()) return "";
  const bool one = layers.size() == 1;
  const bool more = layers.size() > kLayersShown;
  layers.resize(std::min(layers.size(), kLayersShown));
  return fmt::format("the {} {}{} {} {} the model and {} not computed here: {}--preprocess must do what {} did",
                     one ? "layer" : "layers", fmt::join(layers, ", "), more ? ", ..." : "", one ? "stands" : "stand",
                     before ? "before" : "beside", one ? "is" : "are",
                     before ? ""
                     : one  ? "if it prepares photos, "
                            : "if they prepare photos, ",
                     one ? "it" : "they");
}

}  // namespace gcvit::weights
