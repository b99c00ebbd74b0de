// SPDX-License-Identifier: Apache-2.0
#include "weights/wrapped_models.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "model/tensor_table.h"
#include "formats/in_quotes.h"
#include "formats/key_words.h"
#include "weights/keras_names.h"
#include "weights/model_file.h"
#include "weights/names.h"

namespace gcvit::weights {
namespace {

constexpr std::size_t kPlacesShown = 4;
constexpr std::string_view kAverageCount = "n_averaged";  // of torch.optim.swa_utils.AveragedModel
constexpr std::string_view kAveragedPart = "module.";     // where it keeps the averages

bool is_separator(char letter) { return letter == '.' || letter == '/'; }

/// What an optimizer keeps of each tensor has the tensor's name too.
bool is_of_an_optimizer(std::string_view name) {
  static constexpr std::string_view kWords[] = {"opt", "optim", "optimizer", "optimizers"};
  const std::string_view first = name.substr(0, name.find_first_of("./"));
  return first.size() < name.size() && first.size() <= formats::kLongestKey && formats::has_word(first, kWords);
}

/// What a layout calls a level and the query generator in it: "levels" and "q_global_gen".
struct Generator {
  std::string_view word;
  std::string_view level;
  bool underscore;  ///< before the level's number
};

Generator generator_of(std::string_view model::TensorRow::* column) {
  const auto row = std::ranges::find(model::tensor_rows(), model::Part::kQueryGenerator, &model::TensorRow::part);
  const std::string_view name = (*row).*column;  // "levels.#.q_global_gen. ..."
  const std::size_t number = name.find('#');
  const std::string_view rest = name.substr(number + 2);
  return {rest.substr(0, rest.find('.')), name.substr(0, number - 1), name[number - 1] == '_'};
}

/// Where the model's own names begin in the name of a tensor of its query generators, which only GCViTs have.
std::optional<std::size_t> begin_of_model(std::string_view name) {
  if (name.size() > formats::kLongestKey) return std::nullopt;
  static const Generator kGenerators[] = {generator_of(&model::TensorRow::name), generator_of(&model::TensorRow::timm),
                                          generator_of(&model::TensorRow::flaim)};
  for (const Generator& generator : kGenerators) {
    const std::size_t place = name.find(generator.word);
    if (place == name.npos || place == 0 || !is_separator(name[place - 1])) continue;
    const std::size_t end = place + generator.word.size();
    if (end >= name.size() || !is_separator(name[end])) continue;
    std::string_view before = name.substr(0, place - 1);
    const std::size_t number = before.find_last_not_of("0123456789") + 1;
    if (number == 0 || number == before.size()) continue;
    const char joint = before[number - 1];
    before = before.substr(0, number - 1);
    if (!(generator.underscore ? joint == '_' : is_separator(joint)) || !before.ends_with(generator.level)) continue;
    const std::size_t begin = before.size() - generator.level.size();
    if (begin == 0 || is_separator(before[begin - 1])) return begin;
  }
  return std::nullopt;
}

/// True when an average's count stands beside one of the wrappers that the prefix is made of.
bool is_counted_average(std::string_view prefix, const std::unordered_set<std::string_view>& counts) {
  for (std::size_t place = prefix.find(kAveragedPart); place != prefix.npos;
       place = prefix.find(kAveragedPart, place + 1)) {
    if (counts.contains(prefix.substr(0, place))) return true;
  }
  return false;
}

/// Whether both prefixes lead to the same names with the same values, as a module that is another's attribute too.
bool are_the_same(const std::vector<formats::NamedTensor>& tensors, const std::string& a, const std::string& b) {
  const auto below = [&](const std::string& prefix) {
    std::map<std::string_view, const Tensor*> found;
    for (const formats::NamedTensor& entry : tensors) {
      if (entry.name.starts_with(prefix))
        found.emplace(std::string_view(entry.name).substr(prefix.size()), &entry.tensor);
    }
    return found;
  };
  return std::ranges::equal(below(a), below(b), [](const auto& left, const auto& right) {
    const auto left_bytes = left.second->bytes();
    const auto right_bytes = right.second->bytes();
    return left.first == right.first && left.second->dims() == right.second->dims() &&
           left_bytes.size() == right_bytes.size() &&
           (left_bytes.data() == right_bytes.data() || std::ranges::equal(left_bytes, right_bytes));
  });
}

/// The weights under a prefix of the names that stand at `place` of the file.
formats::StoredWeights stored(const std::string& place, const formats::WrappedModel& model) {
  const std::string prefix = model.prefix.empty() ? "" : formats::in_quotes(model.prefix);
  if (place.empty()) return {prefix.empty() ? "names without a prefix" : prefix, model.averaged};
  return {place + (prefix.empty() ? "" : " > " + prefix), model.averaged};
}

/// "a", "b", ... of the places of one kind, or of both.
std::string places_of(std::span<const formats::StoredWeights> weights, std::optional<bool> averaged) {
  std::string places;
  std::size_t count = 0;
  for (const formats::StoredWeights& one : weights) {
    if (averaged && one.averaged != *averaged) continue;
    if (++count > kPlacesShown) return places + ", ...";
    places += (count > 1 ? ", " : "") + one.place;
  }
  return places;
}

/// Training code may call a classifier otherwise than the model does, or keep it beside the model: gives the model a head that
/// it hasn't where there is just one of its shape. Returns a sentence about it, empty when nothing was done.
std::string remap_head(std::vector<formats::NamedTensor>& own, std::vector<formats::NamedTensor>& rest,
                       const std::string& prefix) {
  const auto stem_of = [](std::string_view weight) { return std::string(weight.substr(0, weight.rfind('.'))); };
  static const std::string kHeads[] = {stem_of(model::tensors::kHeadWeight), "fc", "classifier",
                                       stem_of(layout_name(Layout::kTimm, model::tensors::kHeadWeight))};
  const std::optional<Layout> layout = detect_layout(own);
  if (layout != Layout::kNvlabs && layout != Layout::kTimm) return "";
  const auto find = [](std::vector<formats::NamedTensor>& tensors, std::string_view name) {
    const auto found = std::ranges::find(tensors, name, &formats::NamedTensor::name);
    return found == tensors.end() ? nullptr : &*found;
  };
  const std::string weight = layout_name(*layout, model::tensors::kHeadWeight);
  const std::string bias = layout_name(*layout, model::tensors::kHeadBias);
  const formats::NamedTensor* const norm = find(own, layout_name(*layout, model::tensors::kNormWeight));
  if (norm == nullptr || find(own, weight) != nullptr || find(own, bias) != nullptr) return "";
  struct Found {
    std::vector<formats::NamedTensor>* tensors;
    std::string stem;
  };
  std::vector<Found> found;
  const auto look = [&](std::vector<formats::NamedTensor>& tensors, const std::string& parent) {
    for (const std::string& head : kHeads) {
      const std::string stem = parent + head;
      const formats::NamedTensor* const matrix = find(tensors, stem + ".weight");
      const formats::NamedTensor* const offset = find(tensors, stem + ".bias");
      if (matrix == nullptr || offset == nullptr || matrix->tensor.dims().size() != 2) continue;
      const Dims& dims = matrix->tensor.dims();
      if (offset->tensor.dims() == Dims{dims[0]} && norm->tensor.dims() == Dims{dims[1]}) {
        found.push_back({&tensors, stem});
      }
    }
  };
  look(own, "");
  const std::size_t dot = prefix.empty() ? prefix.npos : prefix.rfind('.', prefix.size() - 2);
  if (!prefix.empty()) look(rest, dot == prefix.npos ? "" : prefix.substr(0, dot + 1));
  if (found.size() != 1) return "";
  const auto [tensors, stem] = found.front();
  for (const auto& [from, to] : {std::pair(stem + ".weight", weight), std::pair(stem + ".bias", bias)}) {
    formats::NamedTensor entry{to, std::move(find(*tensors, from)->tensor)};
    std::erase_if(*tensors, [&](const formats::NamedTensor& tensor) { return tensor.name == from; });
    own.push_back(std::move(entry));
  }
  return fmt::format("{} is taken as the head, as there is no {}",
                     formats::in_quotes((tensors == &own ? prefix : "") + stem + ".weight"),
                     formats::in_quotes(prefix + weight));
}

}  // namespace

std::vector<formats::WrappedModel> find_wrapped_models(std::span<const std::string_view> names) {
  std::set<std::string_view> prefixes;
  std::unordered_set<std::string_view> counts;  // what stands before each n_averaged
  for (const std::string_view name : names) {
    if (name.size() <= formats::kLongestKey && name.ends_with(kAverageCount)) {
      counts.insert(name.substr(0, name.size() - kAverageCount.size()));
    }
    const std::optional<std::size_t> begin = begin_of_model(name);
    if (begin && prefixes.size() < formats::kMostModels && !is_keras_name(name) && !is_of_an_optimizer(name)) {
      prefixes.insert(name.substr(0, *begin));
    }
  }
  std::vector<formats::WrappedModel> models;
  for (const std::string_view prefix : prefixes) {
    models.push_back({std::string(prefix), formats::names_an_average(prefix) || is_counted_average(prefix, counts)});
  }
  return models;
}

formats::ReadOptions read_options(std::optional<bool> averaged) {
  return {.averaged = averaged, .find_models = find_wrapped_models};
}

void fail_without(bool averaged, const formats::RawFile& raw, const std::string& file) {
  std::vector<formats::StoredWeights> weights = raw.others;
  if (!raw.place.empty()) weights.insert(weights.begin(), {raw.place, raw.averaged});
  const std::string places = places_of(weights, !averaged);
  const bool has_list = averaged && !raw.nameless.empty();
  fail("[weights] {}: expected {} weights, found {}{}{}{}", file, averaged ? "averaged (EMA)" : "raw",
       averaged ? "raw ones" : "averaged (EMA) ones", has_list ? "" : " alone", places.empty() ? "" : ": " + places,
       has_list ? fmt::format(", and averaged ones without names ({}), which are not read: {}", raw.nameless, kNameThem)
                : "");
}

std::vector<std::string> unwrap(formats::RawFile& raw, std::optional<bool> averaged, const std::string& file) {
  std::vector<formats::WrappedModel> models;
  if (!is_model_file(raw.metadata)) {
    const std::vector<std::string_view> names = [&] {
      std::vector<std::string_view> result;
      for (const formats::NamedTensor& entry : raw.tensors) result.emplace_back(entry.name);
      return result;
    }();
    models = find_wrapped_models(names);
  }
  if (models.empty()) {
    strip_wrapper_prefixes(raw.tensors);
    return {};
  }
  for (formats::WrappedModel& model : models) model.averaged = model.averaged || raw.averaged;

  const auto of_kind = [&](bool kind) {
    std::vector<const formats::WrappedModel*> result;
    for (const formats::WrappedModel& model : models) {
      if (model.averaged == kind) result.push_back(&model);
    }
    return result;
  };
  std::vector<const formats::WrappedModel*> wanted = of_kind(averaged.value_or(false));
  if (wanted.empty() && !averaged) wanted = of_kind(true);
  if (wanted.empty()) wanted = of_kind(!*averaged);  // the caller refuses them
  const auto first_same = [&](const formats::WrappedModel* model) {
    return *std::ranges::find_if(wanted, [&](const formats::WrappedModel* other) {
      return other == model || are_the_same(raw.tensors, other->prefix, model->prefix);
    });
  };
  if (wanted.size() > 1 && std::ranges::all_of(wanted, [&](const formats::WrappedModel* model) {
        return first_same(model) == wanted.front();
      })) {
    wanted = {wanted.front()};
  }
  std::vector<formats::StoredWeights> others;
  for (const formats::WrappedModel& model : models) others.push_back(stored(raw.place, model));
  if (wanted.size() > 1) {
    std::vector<formats::StoredWeights> several;
    for (const formats::WrappedModel* model : wanted) several.push_back(stored(raw.place, *model));
    fail("[weights] {}: expected one model, found {} with {} weights: {}; save the one that is meant by itself", file,
         several.size(), wanted.front()->averaged ? "averaged (EMA)" : "raw", places_of(several, std::nullopt));
  }
  const formats::WrappedModel& chosen = *wanted.front();
  const auto place = static_cast<std::ptrdiff_t>(&chosen - models.data());
  raw.place = others[static_cast<std::size_t>(place)].place;
  raw.averaged = chosen.averaged;
  others.erase(others.begin() + place);
  // Others of its kind that are left here are the same model once more.
  std::erase_if(others, [&](const formats::StoredWeights& one) { return one.averaged == chosen.averaged; });
  raw.others.insert(raw.others.begin(), others.begin(), others.end());

  // A tensor belongs to the model with the longest prefix that its name has.
  std::vector<formats::NamedTensor> rest;
  std::vector<formats::NamedTensor> own;
  for (formats::NamedTensor& entry : raw.tensors) {
    const formats::WrappedModel* owner = nullptr;
    for (const formats::WrappedModel& model : models) {
      if (entry.name.starts_with(model.prefix) && (owner == nullptr || owner->prefix.size() < model.prefix.size())) {
        owner = &model;
      }
    }
    if (owner == &chosen && (!chosen.prefix.empty() || !is_of_an_optimizer(entry.name))) {
      entry.name.erase(0, chosen.prefix.size());
      own.push_back(std::move(entry));
    } else if (owner == nullptr && !is_index_buffer(entry.name) && !entry.name.ends_with(kAverageCount) &&
               !is_of_an_optimizer(entry.name)) {
      rest.push_back(std::move(entry));
    }
  }
  raw.prefix = chosen.prefix;
  if (const std::string head = remap_head(own, rest, chosen.prefix); !head.empty()) {
    raw.notices.push_back(fmt::format("{}: {}", file, head));
  }
  std::vector<std::string> left_out;
  for (formats::NamedTensor& entry : rest) left_out.push_back(std::move(entry.name));
  raw.tensors = std::move(own);
  if (!left_out.empty()) raw.notes.push_back(fmt::format("the model's tensors are those under {}", raw.place));
  return left_out;
}

}  // namespace gcvit::weights
