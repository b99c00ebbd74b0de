// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_names.h"

#include <system_error>
#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "model/tensor_table.h"
#include "formats/in_quotes.h"
#include "weights/names.h"
#include "formats/permute.h"

namespace gcvit::weights {
namespace {

constexpr std::size_t kLongestNumber = 6;
constexpr std::size_t kLongestName = 256;    // bounds how deep layers lie within each other
constexpr std::size_t kModelsLookedFor = 8;  // are looked for, to tell that there are several
constexpr std::size_t kMostLayers = 65536;  // more than any GCViT has; what is kept of them stays below 16 MB

/// Where Keras files have the parts of a model, by whose code; `#` is "" for a list's first member, "_1" for the second.
struct PartPath {
  model::Part part;
  std::string_view example;
  std::string_view gcvit_tf;
};

constexpr PartPath kParts[] = {
    {model::Part::kStem, "layers/patch_embed/", "layers/stem/"},
    {model::Part::kQueryGenerator, "layers/level#/q_global_gen/to_q_global/feature_extraction#/",
     "layers/gc_vi_t_level#/q_global_gen/to_q_global/feat_extract#/"},
    {model::Part::kBlock, "layers/level#/blocks/block#/", "layers/gc_vi_t_level#/blocks/gc_vi_t_block#/"},
    {model::Part::kDownsample, "layers/level#/down/", "layers/gc_vi_t_level#/down/"},
    {model::Part::kNorm, "layers/layer_normalization/", "layers/layer_normalization/"},
    {model::Part::kHead, "head/", "head/"},
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<int> number_of(std::string_view text) {
  if (text.empty() || text.size() > kLongestNumber) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

/// Children of a container stand in the order of their numbers.
struct ByPosition {
  bool operator()(std::string_view a, std::string_view b) const {
    const auto [a_stem, a_number] = stem_and_number(a);
    const auto [b_stem, b_number] = stem_and_number(b);
    return std::tuple(a_number, a_stem, a) < std::tuple(b_number, b_stem, b);
  }
};

/// A layer of a Keras 3 file: its variables by number, the layers in it by name. Names view the tensors'.
struct Layer {
  std::map<std::string_view, Layer, ByPosition> children;
  std::map<int, const formats::NamedTensor*> variables;

  const Layer* child(std::string_view name) const {
    const auto found = children.find(name);
    return found == children.end() ? nullptr : &found->second;
  }
  std::size_t rank(int variable) const {
    const auto found = variables.find(variable);
    return found == variables.end() ? 0 : found->second->tensor.dims().size();
  }
};

/// The order of Keras' axes, [in, out], [h, w, in, out] or depthwise [h, w, channels, 1], that makes PyTorch's of them, [out, in],
/// [out, in, h, w] and [channels, 1, h, w].
Tensor to_pytorch(ops::Role role, const Tensor& tensor) {
  const std::size_t rank = tensor.dims().size();
  if (!model::is_weight(role) || (rank != 2 && rank != 4)) return tensor;
  if (rank == 2) return formats::permuted(tensor, {1, 0});
  return role == ops::Role::kDepthwise ? formats::permuted(tensor, {2, 3, 0, 1})
                                       : formats::permuted(tensor, {3, 2, 0, 1});
}

/// And back.
Tensor from_pytorch(ops::Role role, const Tensor& tensor) {
  const std::size_t rank = tensor.dims().size();
  if (!model::is_weight(role) || (rank != 2 && rank != 4)) return tensor;
  if (rank == 2) return formats::permuted(tensor, {1, 0});
  return role == ops::Role::kDepthwise ? formats::permuted(tensor, {2, 3, 0, 1})
                                       : formats::permuted(tensor, {2, 3, 1, 0});
}

/// Puts tensors under canonical names; the rest is unexpected.
class Collector {
 public:
  void take(const model::TensorPlace& place, const formats::NamedTensor& tensor) {
    if (!taken_.emplace(&tensor).second) return;
    result_.tensors.push_back({model::tensor_name(place), to_pytorch(place.row->role, tensor.tensor)});
  }

  Canonical finish(const std::vector<formats::NamedTensor>& tensors) {
    for (const formats::NamedTensor& tensor : tensors) {
      if (!taken_.contains(&tensor)) result_.unexpected.push_back(tensor.name);
    }
    return std::move(result_);
  }

 private:
  std::set<const formats::NamedTensor*> taken_;
  Canonical result_;
};

/// The walk over a Keras 3 file's layers.
class Walk {
 public:
  explicit Walk(Collector& collector) : collector_(collector) {}

  void model(const Layer& model) {
    int level_count = 0;
    const auto walk = [&](const Layer& parent) {
      for (const auto& [name, layer] : parent.children) {
        if (layer.child("blocks") != nullptr) {
          level(layer, level_count++);
        } else if (layer.child("proj") != nullptr && layer.child("conv_down") != nullptr) {
          part(layer, model::Part::kStem);
        } else if (layer.rank(0) == 2) {
          part(layer, model::Part::kHead);
        } else if (layer.rank(0) == 1 && layer.rank(1) == 1) {
          part(layer, model::Part::kNorm);
        }
      }
    };
    walk(model);
    for (const char* list : {"layers", "levels", "_layer_checkpoint_dependencies"}) {
      if (const Layer* const container = model.child(list)) walk(*container);
    }
  }

 private:
  /// The tensors of a part of the model, below its layer.
  void part(const Layer& layer, model::Part part, std::int32_t level = 0, std::int32_t index = 0) {
    for (const model::TensorRow& row : model::tensor_rows()) {
      if (row.part == part && model::is_about(row, index)) take(layer, row.keras, {&row, level, index});
    }
  }

  /// The tensor at `path` (TensorRow::keras) below a layer, if it is there.
  void take(const Layer& layer, std::string_view path, const model::TensorPlace& place) {
    const std::string_view role = path.substr(0, path.find('/'));
    const std::string_view rest = path.substr(role.size() + 1);
    if (role == "vars") {
      const auto found = layer.variables.find(*number_of(rest));
      if (found != layer.variables.end()) collector_.take(place, *found->second);
      return;
    }
    const Layer* const child = layer.child(role);
    if (child == nullptr) return;
    if (role != "conv") return take(*child, rest, place);
    const std::string_view member = rest.substr(0, rest.find('/'));
    for (const auto& [_, one] : child->children) {
      if (is_member(one, member)) take_member(one, rest.substr(member.size() + 1), place);
    }
  }

  /// The members of the list `conv` have classes of their own, so shapes tell them apart.
  static bool is_member(const Layer& layer, std::string_view member) {
    if (layer.child("fc") != nullptr) return member == "squeeze_and_excitation";
    if (layer.rank(0) != 4) return false;
    return member == (layer.variables.at(0)->tensor.dims()[0] == 1 ? "conv2d" : "depthwise_conv2d");
  }

  void take_member(const Layer& layer, std::string_view path, const model::TensorPlace& place) {
    if (!path.starts_with("fc/")) return take(layer, path, place);
    path.remove_prefix(3);
    const std::string_view linear = path.substr(0, path.find('/'));  // "dense" or "dense_1", whatever the file calls it
    int number = stem_and_number(linear).second;
    for (const auto& [_, one] : layer.child("fc")->children) {
      if (number-- == 0) take(one, path.substr(linear.size() + 1), place);
    }
  }

  void level(const Layer& level, std::int32_t l) {
    std::int32_t number = 0;
    for (const auto& [_, child] : level.child("blocks")->children) part(child, model::Part::kBlock, l, number++);
    for (const char* role : {"down", "downsample"}) {
      if (const Layer* const layer = level.child(role)) part(*layer, model::Part::kDownsample, l);
    }
    const Layer* const generator = level.child("q_global_gen");
    const Layer* const extractions = generator == nullptr ? nullptr : generator->child("to_q_global");
    if (extractions == nullptr) return;
    number = 0;
    for (const auto& [_, child] : extractions->children) part(child, model::Part::kQueryGenerator, l, number++);
  }

  Collector& collector_;
};

/// The layers that are GCViTs, with the paths to them: one has a list with a level in it, and a level has blocks.
void find_models(const Layer& layer, const std::string& path,
                 std::vector<std::pair<std::string, const Layer*>>& found) {
  for (const auto& [_, list] : layer.children) {
    for (const auto& [__, level] : list.children) {
      if (level.child("blocks") == nullptr) continue;
      found.emplace_back(path, &layer);
      return;
    }
  }
  for (const auto& [name, child] : layer.children) {
    if (found.size() == kModelsLookedFor) return;
    find_models(child, path + std::string(name) + "/", found);
  }
}

/// The number of a Keras 3 variable, "layers/norm/vars/1".
std::optional<int> variable_number(const std::vector<std::string_view>& parts) {
  if (parts.size() < 2 || parts[parts.size() - 2] != "vars") return std::nullopt;
  return number_of(parts.back());
}

/// The place of a tf.keras weight, "levels_0/gc_vi_t/levels_0/blocks_1/attn/qkv/kernel:0" or with
/// levels/0/blocks/1: behind the model's name stands what PyTorch calls it, but for the leaf. Keras 3 leaves ":0" out where
/// it saves a whole model as .h5.
std::optional<model::TensorPlace> legacy_place_of(std::string_view name) {
  if (const std::size_t colon = name.rfind(':'); colon != name.npos) name = name.substr(0, colon);
  const std::vector<std::string_view> parts = split(name, '/');
  const auto is_root = [](std::string_view part) {
    return part == "patch_embed" || stem_and_number(part).first == "levels";
  };
  const auto root = std::ranges::find_if(parts.rbegin(), parts.rend(), is_root);
  auto begin = root != parts.rend() ? std::prev(root.base()) : parts.end();
  if (begin == parts.end()) {
    if (parts.size() < 2) return std::nullopt;
    begin = parts.end() - 2;
    if (*begin != "norm" && *begin != "head") return std::nullopt;
  }
  std::string canonical;
  for (auto part = begin; part != parts.end(); ++part) {
    std::string_view word = *part;
    if (part + 1 == parts.end()) {
      if (word == "kernel" || word == "depthwise_kernel" || word == "gamma") word = "weight";
      if (word == "beta") word = "bias";
    } else if (word == "down") {
      word = "downsample";
    }
    if (!canonical.empty()) canonical += '.';
    const auto [stem, number] = stem_and_number(word);
    canonical += stem == word ? std::string(word) : fmt::format("{}.{}", stem, number);
  }
  return model::find_tensor(canonical);
}

/// Where model.save("x.h5") puts weights and the optimizer's state.
constexpr std::string_view kWholeModel = "model_weights/";
constexpr std::string_view kItsOptimizer = "optimizer_weights/";

/// Where a tf.keras file has the model: the group of its stem but for names that begin with it, as those of a file that holds
/// the model alone.
std::string_view legacy_place(std::string_view name) {
  const std::size_t begin = name.starts_with(kWholeModel) ? kWholeModel.size() : 0;
  const std::size_t end = name.find('/', begin);
  if (end == name.npos || name.substr(begin, end - begin) == "patch_embed") return {};
  return name.find("/patch_embed/", begin) == name.npos ? std::string_view() : name.substr(0, end + 1);
}

/// What a file may hold beside a model: the optimizer's state, metrics, random states.
bool is_training_state(std::string_view name) {
  if (!is_keras_name(name)) return false;
  const std::vector<std::string_view> parts = split(name, '/');
  for (const char* root :
       {"optimizer", "optimizer_weights", "metrics", "_metrics", "_loss_tracker", "compile_metrics"}) {
    if (parts.front() == root) return true;
  }
  return std::ranges::find(parts, "seed_generator") != parts.end();
}

}  // namespace

std::pair<std::string_view, int> stem_and_number(std::string_view name) {
  const std::size_t underscore = name.rfind('_');
  if (underscore != name.npos) {
    if (const auto number = number_of(name.substr(underscore + 1))) return {name.substr(0, underscore), *number};
  }
  return {name, 0};
}

bool is_keras_name(std::string_view name) {
  if (name.size() > kLongestName) return false;
  if (name.starts_with(kWholeModel) || name.starts_with(kItsOptimizer)) return true;
  return variable_number(split(name, '/')).has_value() || (name.find('/') != name.npos && name.ends_with(":0"));
}

Canonical keras_to_canonical(std::vector<formats::NamedTensor> tensors) {
  std::erase_if(tensors, [](const formats::NamedTensor& tensor) { return is_training_state(tensor.name); });
  Collector collector;
  Layer root;
  std::size_t layers = 0;
  std::set<std::string_view> places;  // of models in a tf.keras file
  for (const formats::NamedTensor& tensor : tensors) {
    if (!is_keras_name(tensor.name)) continue;
    const std::vector<std::string_view> parts = split(tensor.name, '/');
    if (const auto number = variable_number(parts)) {
      Layer* layer = &root;
      for (const std::string_view part : std::span(parts).first(parts.size() - 2)) {
        const auto [child, is_new] = layer->children.try_emplace(part);
        if (is_new && ++layers > kMostLayers) {
          fail("[names] tensor {}: expected at most {} layers, found more", formats::in_quotes(tensor.name),
               kMostLayers);
        }
        layer = &child->second;
      }
      layer->variables.emplace(*number, &tensor);
    } else if (const auto weight = legacy_place_of(tensor.name)) {
      const std::string_view place = legacy_place(tensor.name);
      if (!place.empty() && places.size() < kModelsLookedFor) places.insert(place);
      collector.take(*weight, tensor);
    }
  }
  std::vector<std::pair<std::string, const Layer*>> models;
  find_models(root, "", models);
  std::vector<std::string> found(places.begin(), places.end());
  for (const auto& [path, _] : models) found.push_back(path);
  if (found.size() > 1) {
    fail("[names] expected one model, found several: {}, {}{}; save the one that is meant by itself",
         formats::in_quotes(found[0]), formats::in_quotes(found[1]), found.size() > 2 ? ", ..." : "");
  }
  if (!models.empty()) Walk(collector).model(*models.front().second);
  Canonical canonical = collector.finish(tensors);
  if (!found.empty()) canonical.place = found.front();
  return canonical;
}

std::string keras_path(std::string_view canonical, KerasFlavour flavour) {
  const std::optional<model::TensorPlace> place = model::find_tensor(canonical);
  if (!place) fail("[names] keras has no name for {}", formats::in_quotes(canonical));
  const PartPath& part = *std::ranges::find(kParts, place->row->part, &PartPath::part);
  std::string path;
  std::int32_t number = place->level;
  for (const char letter : flavour == KerasFlavour::kExample ? part.example : part.gcvit_tf) {
    if (letter != '#') {
      path += letter;
      continue;
    }
    if (number != 0) path += fmt::format("_{}", number);  // Keras gives the first of a list no number
    number = place->index;
  }
  path += place->row->keras;
  if (flavour == KerasFlavour::kGcvitTf) {
    constexpr std::string_view kExampleWord = "squeeze_and_excitation";
    if (const std::size_t word = path.find(kExampleWord); word != path.npos)
      path.replace(word, kExampleWord.size(), "se");
  }
  return path;
}

bool has_example_names(std::span<const formats::NamedTensor> tensors) {
  const std::string_view stem = std::ranges::find(kParts, model::Part::kStem, &PartPath::part)->example;
  return std::ranges::any_of(tensors, [&](const formats::NamedTensor& entry) { return entry.name.starts_with(stem); });
}

bool is_whole_keras3_model(std::span<const formats::NamedTensor> tensors) {
  return std::ranges::any_of(tensors, [](const formats::NamedTensor& entry) {
    return entry.name.starts_with(kWholeModel) && !entry.name.ends_with(":0");
  });
}

formats::NamedTensor to_keras(const formats::NamedTensor& canonical, KerasFlavour flavour) {
  return {keras_path(canonical.name, flavour),
          from_pytorch(model::find_tensor(canonical.name)->row->role, canonical.tensor.to_f32())};
}

}  // namespace gcvit::weights
