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
#include "formats/in_quotes.h"
#include "weights/names.h"
#include "formats/permute.h"

namespace gcvit::weights {
namespace {

constexpr std::size_t kLongestNumber = 6;
constexpr std::size_t kLongestName = 256;    // bounds how deep layers lie within each other
constexpr std::size_t kModelsLookedFor = 8;  // are looked for, to tell that there are several
constexpr std::size_t kMostLayers = 65536;  // more than any GCViT has; what is kept of them stays below 16 MB

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

bool is_depthwise(std::string_view canonical) { return canonical.ends_with(".conv.0.weight"); }

/// Keras' [in, out], [h, w, in, out] and depthwise [h, w, channels, 1] as PyTorch's [out, in], [out, in, h, w] and
/// [channels, 1, h, w]; anything else as it is.
Tensor to_pytorch(std::string_view canonical, const Tensor& tensor) {
  const std::size_t rank = tensor.dims().size();
  if (!canonical.ends_with(".weight") || (rank != 2 && rank != 4)) return tensor;
  if (rank == 2) return formats::permuted(tensor, {1, 0});
  return is_depthwise(canonical) ? formats::permuted(tensor, {2, 3, 0, 1}) : formats::permuted(tensor, {3, 2, 0, 1});
}

Tensor from_pytorch(std::string_view canonical, const Tensor& tensor) {
  const std::size_t rank = tensor.dims().size();
  if (!canonical.ends_with(".weight") || (rank != 2 && rank != 4)) return tensor;
  if (rank == 2) return formats::permuted(tensor, {1, 0});
  return is_depthwise(canonical) ? formats::permuted(tensor, {2, 3, 0, 1}) : formats::permuted(tensor, {2, 3, 1, 0});
}

/// Puts tensors under canonical names; the rest is unexpected.
class Collector {
 public:
  void take(std::string canonical, const formats::NamedTensor& tensor) {
    if (!taken_.emplace(&tensor).second) return;
    Tensor converted = to_pytorch(canonical, tensor.tensor);
    result_.tensors.push_back({std::move(canonical), std::move(converted)});
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
          level(layer, "levels." + std::to_string(level_count++));
        } else if (layer.child("proj") != nullptr && layer.child("conv_down") != nullptr) {
          named(layer, "proj", "patch_embed.proj");
          reduce_size(*layer.child("conv_down"), "patch_embed.conv_down");
        } else if (layer.rank(0) == 2) {
          variables(layer, {"head.weight", "head.bias"});
        } else if (layer.rank(0) == 1 && layer.rank(1) == 1) {
          variables(layer, {"norm.weight", "norm.bias"});
        }
      }
    };
    walk(model);
    for (const char* list : {"layers", "levels", "_layer_checkpoint_dependencies"}) {
      if (const Layer* const container = model.child(list)) walk(*container);
    }
  }

 private:
  void variables(const Layer& layer, std::initializer_list<std::string> names) {
    int number = 0;
    for (const std::string& name : names) {
      const auto found = layer.variables.find(number++);
      if (found != layer.variables.end()) collector_.take(name, *found->second);
    }
  }

  /// A layer with a kernel and a bias, or a norm.
  void named(const Layer& parent, std::string_view role, const std::string& name) {
    if (const Layer* const layer = parent.child(role)) variables(*layer, {name + ".weight", name + ".bias"});
  }

  void level(const Layer& level, const std::string& name) {
    int number = 0;
    for (const auto& [_, child] : level.child("blocks")->children) {
      block(child, fmt::format("{}.blocks.{}", name, number++));
    }
    for (const char* role : {"down", "downsample"}) {
      if (const Layer* const layer = level.child(role)) reduce_size(*layer, name + ".downsample");
    }
    const Layer* const generator = level.child("q_global_gen");
    const Layer* const extractions = generator == nullptr ? nullptr : generator->child("to_q_global");
    if (extractions == nullptr) return;
    number = 0;
    for (const auto& [_, child] : extractions->children) {
      fused_mbconv(child, fmt::format("{}.q_global_gen.to_q_global.{}", name, number++));
    }
  }

  void block(const Layer& block, const std::string& name) {
    variables(block, {name + ".gamma1", name + ".gamma2"});
    named(block, "norm1", name + ".norm1");
    named(block, "norm2", name + ".norm2");
    if (const Layer* const attention = block.child("attn")) {
      variables(*attention, {name + ".attn.relative_position_bias_table"});
      named(*attention, "qkv", name + ".attn.qkv");
      named(*attention, "proj", name + ".attn.proj");
    }
    if (const Layer* const mlp = block.child("mlp")) {
      named(*mlp, "fc1", name + ".mlp.fc1");
      named(*mlp, "fc2", name + ".mlp.fc2");
    }
  }

  void reduce_size(const Layer& layer, const std::string& name) {
    named(layer, "norm1", name + ".norm1");
    named(layer, "norm2", name + ".norm2");
    named(layer, "reduction", name + ".reduction");
    fused_mbconv(layer, name);
  }

  /// The list `conv`: its members have classes of their own, so shapes tell them apart.
  void fused_mbconv(const Layer& layer, const std::string& name) {
    const Layer* const list = layer.child("conv");
    if (list == nullptr) return;
    for (const auto& [_, child] : list->children) {
      if (const Layer* const linears = child.child("fc")) {
        int place = 0;  // an activation stands between the two
        for (const auto& [__, linear] : linears->children) {
          variables(linear, {fmt::format("{}.conv.2.fc.{}.weight", name, place)});
          place += 2;
        }
      } else if (child.rank(0) == 4) {
        const bool pointwise = child.variables.at(0)->tensor.dims()[0] == 1;
        variables(child, {name + (pointwise ? ".conv.3.weight" : ".conv.0.weight")});
      }
    }
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

constexpr std::string_view kLeaves[] = {"weight", "bias", "gamma1", "gamma2", "relative_position_bias_table"};

/// The canonical name of a tf.keras weight, "levels_0/gc_vi_t/levels_0/blocks_1/attn/qkv/kernel:0" or with
/// levels/0/blocks/1: behind the model's name stands what PyTorch calls it, but for the leaf. Keras 3 leaves ":0" out where
/// it saves a whole model as .h5.
std::optional<std::string> legacy_canonical_name(std::string_view name) {
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
      if (std::ranges::find(kLeaves, word) == std::end(kLeaves)) return std::nullopt;
    } else if (word == "down") {
      word = "downsample";
    }
    if (!canonical.empty()) canonical += '.';
    const auto [stem, number] = stem_and_number(word);
    canonical += stem == word ? std::string(word) : fmt::format("{}.{}", stem, number);
  }
  return canonical;
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
    } else if (auto canonical = legacy_canonical_name(tensor.name)) {
      const std::string_view place = legacy_place(tensor.name);
      if (!place.empty() && places.size() < kModelsLookedFor) places.insert(place);
      collector.take(std::move(*canonical), tensor);
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
  static constexpr std::string_view kSameWords[] = {"proj", "conv_down", "norm1", "norm2", "reduction", "q_global_gen",
                                                    "attn", "qkv",       "mlp",   "fc1",   "fc2",       "head"};
  const bool example = flavour == KerasFlavour::kExample;
  const auto numbered = [](std::string_view word, std::string_view number) {
    return number == "0" ? std::string(word) : fmt::format("{}_{}", word, number);
  };
  const std::vector<std::string_view> parts = split(canonical, '.');
  std::string path;
  const auto unknown = [&] { fail("[names] keras has no name for {}", formats::in_quotes(canonical)); };
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string_view word = parts[i];
    const std::string_view number = parts[i + 1];
    if (word == "patch_embed") {
      path += example ? "layers/patch_embed/" : "layers/stem/";
    } else if (word == "norm") {
      path += "layers/layer_normalization/";
    } else if (word == "downsample") {
      path += "down/";
    } else if (word == "levels") {
      path += "layers/" + numbered(example ? "level" : "gc_vi_t_level", number) + "/";
    } else if (word == "blocks") {
      path += "blocks/" + numbered(example ? "block" : "gc_vi_t_block", number) + "/";
    } else if (word == "to_q_global") {
      path += "to_q_global/" + numbered(example ? "feature_extraction" : "feat_extract", number) + "/";
    } else if (word == "conv") {
      path += number == "0"   ? "conv/depthwise_conv2d/"
              : number == "2" ? (example ? "conv/squeeze_and_excitation/" : "conv/se/")
                              : "conv/conv2d/";
    } else if (word == "fc") {
      path += number == "0" ? "fc/dense/" : "fc/dense_1/";
    } else if (std::ranges::find(kSameWords, word) != std::end(kSameWords)) {
      path += std::string(word) + "/";
    } else if (i == 0 || !number_of(word)) {
      unknown();
    }
  }
  const std::string_view leaf = parts.back();
  if (leaf == "weight" || leaf == "gamma1" || leaf == "relative_position_bias_table") return path + "vars/0";
  if (leaf != "bias" && leaf != "gamma2") unknown();
  return path + "vars/1";
}

formats::NamedTensor to_keras(const formats::NamedTensor& canonical, KerasFlavour flavour) {
  return {keras_path(canonical.name, flavour), from_pytorch(canonical.name, canonical.tensor.to_f32())};
}

}  // namespace gcvit::weights
