// SPDX-License-Identifier: Apache-2.0
#include "weights/state_dict.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "tensor/error.h"
#include "weights/in_quotes.h"
#include "weights/strided_copy.h"
#include "weights/wrapped_models.h"

namespace gcvit::weights {
namespace {

using Kind = PickleValue::Kind;
using Items = PickleValue::Items;

constexpr StorageType kStorageTypes[] = {
    {"FloatStorage", 4, DType::kF32},
    {"HalfStorage", 2, DType::kF16},
    {"BFloat16Storage", 2, DType::kBF16},
    {"DoubleStorage", 8, DType::kF64},
    {"LongStorage", 8, DType::kI64},
    {"IntStorage", 4, DType::kI32},
    {"ByteStorage", 1, DType::kU8},
    {"BoolStorage", 1, DType::kU8},
    {"UntypedStorage", 1, std::nullopt},
    {"ShortStorage", 2, std::nullopt},
    {"CharStorage", 1, std::nullopt},
    {"ComplexFloatStorage", 8, std::nullopt},
    {"ComplexDoubleStorage", 16, std::nullopt},
    {"QInt8Storage", 1, std::nullopt},
    {"QUInt8Storage", 1, std::nullopt},
    {"QInt32Storage", 4, std::nullopt},
    {"QUInt4x2Storage", 1, std::nullopt},
    {"QUInt2x4Storage", 1, std::nullopt},
};

constexpr std::string_view kTorchUtils = "torch._utils";
constexpr std::string_view kRebuild = "_rebuild_";
/// Tensors of one file may share what lies in it. So much of them is read beyond what the file has once and twice.
constexpr std::uint64_t kSharedBytes = std::uint64_t{16} << 20;
/// Wrappers that training scripts put around a state dict, in the order in which they are looked for.
constexpr std::string_view kWrappers[] = {"state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema"};
constexpr int kDeepestWrapper = 3;
constexpr std::size_t kMaximalAxes = 32;
constexpr std::size_t kKeysShown = 6;

const Items& arguments_of(const PickleValue& call) { return call.items()[1]->items(); }

/// The call that rebuilds a tensor; nullptr when the value is no tensor at all.
const PickleValue* tensor_call(const PickleValue* value) {
  if (!value->is(Kind::kCall)) return nullptr;
  const PickleValue& function = *value->items()[0];
  // A parameter is the call of the tensor in it (pickle.h); one that still stands here has none.
  const bool tensor = function.module() == kTorchUtils && function.name().starts_with(kRebuild) &&
                      function.name() != "_rebuild_parameter" && function.name() != "_rebuild_parameter_with_state";
  return tensor ? value : nullptr;
}

/// What choosing wants to know of a dict.
struct Contents {
  std::array<const PickleValue*, std::size(kWrappers)> wrapped{};  ///< what stands under each of kWrappers
  bool tensors = false;                                            ///< it holds some
};

/// The contents of dicts, each looked through once however often the file mentions it.
class Dicts {
 public:
  const Contents& of(const PickleValue& dict) {
    const auto [known, is_new] = known_.try_emplace(&dict);
    Contents& contents = known->second;
    if (!is_new) return contents;
    const Items& items = dict.items();
    for (std::size_t i = 0; i < items.size(); i += 2) {
      if (!items[i]->is(Kind::kText)) continue;
      contents.tensors = contents.tensors || tensor_call(items[i + 1]) != nullptr;
      // The last value under a key is the one that Python keeps.
      const auto* const wrapper = std::ranges::find(kWrappers, items[i]->text());
      if (wrapper != std::end(kWrappers)) {
        contents.wrapped[static_cast<std::size_t>(wrapper - kWrappers)] = items[i + 1];
      }
    }
    return contents;
  }

 private:
  std::unordered_map<const PickleValue*, Contents> known_;
};

/// A dict of tensors and the keys that lead to it.
struct Choice {
  const PickleValue* dict = nullptr;
  std::string path;                 ///< empty for the object itself
  std::vector<std::string> others;  ///< what else holds tensors
};

std::optional<Choice> choose(Dicts& dicts, const PickleValue& dict, int depth) {
  std::optional<Choice> choice;
  std::vector<std::string> others;
  const Contents& contents = dicts.of(dict);
  if (depth < kDeepestWrapper) {
    for (std::size_t w = 0; w < std::size(kWrappers); ++w) {
      const std::string_view wrapper = kWrappers[w];
      const PickleValue* const inner = contents.wrapped[w];
      if (inner == nullptr || !inner->is(Kind::kDict)) continue;
      std::optional<Choice> found = choose(dicts, *inner, depth + 1);
      if (!found) continue;
      if (choice) {
        others.push_back(in_quotes(wrapper));
      } else {
        found->path = found->path.empty() ? in_quotes(wrapper) : in_quotes(wrapper) + " > " + found->path;
        choice = std::move(found);
      }
    }
  }
  if (choice) {
    choice->others.insert(choice->others.end(), others.begin(), others.end());
    return choice;
  }
  if (contents.tensors) return Choice{&dict, "", {}};
  return std::nullopt;
}

/// The only dict of tensors directly in `dict`.
std::optional<Choice> choose_only(Dicts& dicts, const PickleValue& dict) {
  std::optional<Choice> choice;
  const Items& items = dict.items();
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (!items[i]->is(Kind::kText) || !items[i + 1]->is(Kind::kDict) || !dicts.of(*items[i + 1]).tensors) continue;
    if (choice) return std::nullopt;
    choice = Choice{items[i + 1], in_quotes(items[i]->text()), {}};
  }
  return choice;
}

/// A dict with GCViTs in it, found wherever it stands.
struct ModelDict {
  const PickleValue* dict;
  std::vector<const PickleValue*> path;  ///< the keys that lead to it
  bool known;                            ///< they are all of kWrappers
  bool averaged;                         ///< one of them says so
  std::vector<WrappedModel> models;

  std::string place() const {
    std::string place;
    for (const PickleValue* key : path) place += (place.empty() ? "" : " > ") + in_quotes(key->text());
    return place;
  }
  bool has(bool wanted) const {
    return std::ranges::any_of(models,
                               [&](const WrappedModel& model) { return (averaged || model.averaged) == wanted; });
  }
};

/// Looks for models in all dicts that lie at most kDeepestWrapper deep, those under known wrappers first.
class ModelSearch {
 public:
  explicit ModelSearch(const PickleValue& root) { visit(root, true, false); }

  std::vector<ModelDict> found;

 private:
  static bool is_known(std::string_view key) { return std::ranges::find(kWrappers, key) != std::end(kWrappers); }

  void visit(const PickleValue& dict, bool known, bool averaged) {
    if (found.size() == kMostModels || !seen_.insert(&dict).second) return;
    const Items& items = dict.items();
    std::vector<std::string_view> names;
    std::unordered_set<const PickleValue*> keys;  // a key that comes again costs nothing
    std::array<const PickleValue*, std::size(kWrappers)> wrapper_keys{};
    std::array<const PickleValue*, std::size(kWrappers)> wrapped{};
    std::vector<std::size_t> others;
    std::size_t lightning = 0;  // its WeightAveraging saves the averages as state_dict, and the raw weights beside it
    for (std::size_t i = 0; i < items.size(); i += 2) {
      if (!items[i]->is(Kind::kText) || !keys.insert(items[i]).second) continue;
      const std::string_view key = items[i]->text();
      if (tensor_call(items[i + 1]) != nullptr) names.push_back(key);
      if (!items[i + 1]->is(Kind::kDict)) continue;
      if (key == "averaging_state" || key == "current_model_state") ++lightning;
      const auto* const wrapper = std::ranges::find(kWrappers, key);
      if (wrapper == std::end(kWrappers)) {
        others.push_back(i);
      } else {
        wrapper_keys[static_cast<std::size_t>(wrapper - kWrappers)] = items[i];
        wrapped[static_cast<std::size_t>(wrapper - kWrappers)] = items[i + 1];
      }
    }
    if (path_.size() < kDeepestWrapper) {
      for (std::size_t w = 0; w < std::size(kWrappers); ++w) {
        if (wrapped[w] == nullptr) continue;
        const bool lightnings_average = lightning == 2 && kWrappers[w] == "state_dict";
        go_down(*wrapper_keys[w], *wrapped[w], known, averaged || lightnings_average);
      }
      for (const std::size_t i : others) go_down(*items[i], *items[i + 1], false, averaged);
    }
    std::vector<WrappedModel> models = find_wrapped_models(names);
    if (!models.empty() && found.size() < kMostModels) {
      found.push_back({&dict, path_, known, averaged, std::move(models)});
    }
  }

  void go_down(const PickleValue& key, const PickleValue& dict, bool known, bool averaged) {
    path_.push_back(&key);
    visit(dict, known, averaged || names_an_average(key.text()));
    path_.pop_back();
  }

  std::unordered_set<const PickleValue*> seen_;
  std::vector<const PickleValue*> path_;
};

/// The dict of the wanted kind of weights: under known wrappers the first in their order, else the only one.
const ModelDict& choose_models(const std::vector<ModelDict>& found, std::optional<bool> averaged,
                               const std::string& file) {
  std::vector<const ModelDict*> wanted;
  for (const ModelDict& one : found) {
    if (!averaged || one.has(*averaged)) wanted.push_back(&one);
  }
  if (wanted.empty()) return found.front();  // the caller refuses it
  for (const ModelDict* one : wanted) {
    if (one->known) return *one;
  }
  if (!averaged && std::ranges::any_of(wanted, [](const ModelDict* one) { return one->has(false); })) {
    std::erase_if(wanted, [](const ModelDict* one) { return !one->has(false); });
  }
  if (wanted.size() == 1) return *wanted.front();
  std::vector<std::string> places;
  for (const ModelDict* one : wanted) places.push_back(one->path.empty() ? "the saved dict itself" : one->place());
  fail("[torch] {}: expected one model, found {}: {}; save the one that is meant by itself", file, places.size(),
       fmt::join(places, ", "));
}

/// Chooses among dicts that hold no GCViT.
Choice choose_dict(const PickleValue& root, const std::string& file) {
  if (root.is(Kind::kObject)) {
    fail("[torch] {}: expected a state_dict, found {}: a whole model was pickled; save model.state_dict() instead",
         file, root.description());
  }
  if (!root.is(Kind::kDict)) fail("[torch] {}: expected a dict of tensors, found {}", file, root.description());
  Dicts dicts;
  if (std::optional<Choice> choice = choose(dicts, root, 0)) return *std::move(choice);
  if (std::optional<Choice> choice = choose_only(dicts, root)) return *std::move(choice);
  std::string keys;
  const Items& items = root.items();
  for (std::size_t i = 0; i < std::min(items.size(), 2 * kKeysShown); i += 2) {
    if (i > 0) keys += ", ";
    keys += (items[i]->is(Kind::kText) ? in_quotes(items[i]->text()) : items[i]->description()) + ": " +
            items[i + 1]->description();
  }
  fail("[torch] {}: expected a dict of tensors, or one under {}; found {}", file,
       fmt::format("\"{}\"", fmt::join(kWrappers, "\", \"")),
       keys.empty() ? "an empty dict" : keys + (items.size() > 2 * kKeysShown ? ", ..." : ""));
}

/// The dtype of the elements by torch's own name, as _rebuild_tensor_v3 has it.
std::optional<DType> dtype_of(const PickleValue& global) {
  static constexpr std::pair<std::string_view, DType> kNames[] = {
      {"float32", DType::kF32}, {"float16", DType::kF16}, {"bfloat16", DType::kBF16}, {"float64", DType::kF64},
      {"int64", DType::kI64},   {"int32", DType::kI32},   {"uint8", DType::kU8},      {"bool", DType::kU8}};
  if (global.module() != "torch") return std::nullopt;
  for (const auto& [known, dtype] : kNames) {
    if (known == global.name()) return dtype;
  }
  return std::nullopt;
}

class TensorReader {
 public:
  TensorReader(const Storages& storages, const std::shared_ptr<const void>& owner, const std::string& file)
      : storages_(storages), owner_(owner), file_(file) {
    for (const auto& [key, bytes] : storages) bytes_left_ += 2 * std::uint64_t{bytes.size()};
  }

  Tensor read(std::string_view name, const PickleValue& call) {
    name_ = name;
    const std::string_view function = call.items()[0]->name().substr(kRebuild.size());
    const Items& arguments = arguments_of(call);
    const bool version3 = function == "tensor_v3";
    if (!version3 && function != "tensor_v2" && function != "tensor") {
      broken("expected a dense tensor, found {}", in_quotes(call.items()[0]->full_name()));
    }
    if (arguments.size() < (version3 ? 7u : 4u)) broken("expected storage, offset, size and stride, found fewer");
    if (!arguments[0]->is(Kind::kPersistent)) broken("expected a storage, found {}", arguments[0]->description());
    const std::optional<StorageId> id = read_storage_id(*arguments[0], file_);
    if (!id) broken("expected a storage, found another persistent id");
    std::optional<DType> dtype = id->type.dtype;
    if (version3) {
      if (!arguments[6]->is(Kind::kGlobal)) broken("expected a dtype, found {}", arguments[6]->description());
      dtype = dtype_of(*arguments[6]);
    }
    if (!dtype) {
      broken("expected float32, float16, bfloat16, float64, int64, int32, uint8 or bool, found {}",
             version3 ? arguments[6]->full_name() : "torch." + std::string(id->type.name));
    }
    if (!arguments[1]->is(Kind::kInteger)) broken("expected an offset, found {}", arguments[1]->description());
    return view(*dtype, storage(*id), arguments[1]->integer(), numbers(*arguments[2], "size"),
                numbers(*arguments[3], "stride"));
  }

 private:
  template <typename... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> what, Args&&... args) const {
    fail("[torch] {}: tensor {}: {}", file_, in_quotes(name_), fmt::format(what, std::forward<Args>(args)...));
  }

  std::span<const std::byte> storage(const StorageId& id) {
    // A key may have megabytes and all tensors may name it: each text is looked up once.
    const auto [known, is_new] = by_key_.try_emplace(id.key);
    if (is_new) {
      const auto found = storages_.find(id.key->text());
      if (found == storages_.end()) broken("its storage {} is not in the file", in_quotes(id.key->text()));
      known->second = found->second;
    }
    const std::span<const std::byte> bytes = known->second;
    if (static_cast<std::uint64_t>(id.elements) > bytes.size() / id.type.element_size) {
      broken("its storage {} should have {} elements of {} bytes, has {} bytes", in_quotes(id.key->text()), id.elements,
             id.type.element_size, bytes.size());
    }
    return bytes.first(static_cast<std::size_t>(id.elements) * id.type.element_size);
  }

  Dims numbers(const PickleValue& tuple, std::string_view what) const {
    if (!tuple.is(Kind::kTuple)) broken("{}: expected a tuple, found {}", what, tuple.description());
    if (tuple.items().size() > kMaximalAxes) broken("{}: expected at most {} axes", what, kMaximalAxes);
    Dims numbers;
    for (const PickleValue* item : tuple.items()) {
      if (!item->is(Kind::kInteger)) broken("{}: expected integers, found {}", what, item->description());
      numbers.push_back(item->integer());
    }
    return numbers;
  }

  Tensor view(DType dtype, std::span<const std::byte> storage, std::int64_t offset, Dims dims, const Dims& strides) {
    if (dims.size() != strides.size()) {
      broken("expected as many strides as axes, found {} and {}", to_string(strides), to_string(dims));
    }
    const auto element_size = static_cast<std::int64_t>(size_of(dtype));
    const std::int64_t elements = static_cast<std::int64_t>(storage.size()) / element_size;
    const std::optional<std::int64_t> reach = reach_of(dims, strides);
    if (!reach || offset < 0 || (*reach > 0 && (offset > elements || *reach > elements - offset))) {
      broken("size {}, stride {} from element {} on leave its storage of {} elements", to_string(dims),
             to_string(strides), offset, elements);
    }
    if (*reach == 0) return Tensor(dtype, std::move(dims));
    const std::span<const std::byte> rest = storage.subspan(static_cast<std::size_t>(offset * element_size));
    std::int64_t bytes = element_size;
    bool contiguous = true;
    for (std::size_t axis = dims.size(); axis-- > 0;) {
      if (dims[axis] != 1 && strides[axis] * element_size != bytes) contiguous = false;
      bytes *= dims[axis];
    }
    if (static_cast<std::uint64_t>(bytes) > bytes_left_) {
      broken("size {}, stride {}: the tensors share their storages so often that they are over twice the file",
             to_string(dims), to_string(strides));
    }
    bytes_left_ -= static_cast<std::uint64_t>(bytes);
    if (contiguous) return Tensor(dtype, std::move(dims), owner_, rest.first(static_cast<std::size_t>(bytes)));
    return copy_strided(dtype, std::move(dims), strides, rest);
  }

  const Storages& storages_;
  const std::shared_ptr<const void>& owner_;
  const std::string& file_;
  std::string_view name_;
  std::unordered_map<const PickleValue*, std::span<const std::byte>> by_key_;
  /// Of all tensors together, so that no file makes much more of its bytes than they are: each may be read in its own
  /// storage, and what others share with it as much again.
  std::uint64_t bytes_left_ = kSharedBytes;
};

}  // namespace

std::optional<StorageId> read_storage_id(const PickleValue& persistent, const std::string& file) {
  const PickleValue& id = *persistent.items().front();
  const auto is = [&](std::size_t index, Kind kind) {
    return index < id.items().size() && id.items()[index]->is(kind);
  };
  if (!id.is(Kind::kTuple)) fail("[torch] {}: expected a tuple as persistent id, found {}", file, id.description());
  if (is(0, Kind::kText) && id.items()[0]->text() != "storage") return std::nullopt;
  if (!is(0, Kind::kText) || !is(1, Kind::kGlobal) || !is(2, Kind::kText) || !is(4, Kind::kInteger) ||
      id.items()[4]->integer() < 0) {
    fail("[torch] {}: expected a storage's type, key, location and size as persistent id, found something else", file);
  }
  const PickleValue& type = *id.items()[1];
  const std::string_view name = type.name().substr(type.name().rfind('.') + 1);
  const auto* const known = std::ranges::find(kStorageTypes, name, &StorageType::name);
  if ((type.module() != "torch" && !type.module().starts_with("torch.")) || known == std::end(kStorageTypes)) {
    fail("[torch] {}: storage {}: expected a type as torch.FloatStorage, found {}", file,
         in_quotes(id.items()[2]->text()), in_quotes(type.full_name()));
  }
  if (id.items().size() > 5 && !is(5, Kind::kOther)) {
    fail("[torch] {}: storage {}: expected a storage of its own, found a view of another's (written before torch 0.4)",
         file, in_quotes(id.items()[2]->text()));
  }
  return StorageId{*known, id.items()[2], id.items()[4]->integer()};
}

RawFile read_state_dict(const PickleValue& root, const Storages& storages, const std::shared_ptr<const void>& owner,
                        const std::string& file, const ReadOptions& options) {
  RawFile raw{.format = "pytorch", .tensors = {}, .metadata = {}};
  Choice choice;
  std::vector<ModelDict> found;
  if (root.is(Kind::kDict)) found = ModelSearch(root).found;
  if (found.empty()) {
    choice = choose_dict(root, file);
  } else {
    const ModelDict& chosen = choose_models(found, options.averaged, file);
    choice = {chosen.dict, chosen.place(), {}};
    raw.place = choice.path;
    raw.averaged = chosen.averaged;
    for (const ModelDict& one : found) {
      if (&one == &chosen) continue;
      choice.others.push_back(one.path.empty() ? "the saved dict itself" : one.place());
      const bool both = one.has(true) && one.has(false);
      raw.others.push_back({choice.others.back(), one.has(true)});
      if (both) raw.others.push_back({choice.others.back(), false});
    }
  }
  if (!choice.path.empty()) {
    raw.notes.push_back(fmt::format("weights from {} of the saved dict{}", choice.path,
                                    choice.others.empty()
                                        ? ""
                                        : fmt::format("; {} {} left alone", fmt::join(choice.others, ", "),
                                                      choice.others.size() == 1 ? "is" : "are")));
  }
  TensorReader reader(storages, owner, file);
  std::unordered_set<std::string_view> names;
  const Items& items = choice.dict->items();
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const PickleValue* const call = items[i]->is(Kind::kText) ? tensor_call(items[i + 1]) : nullptr;
    if (call == nullptr) continue;
    const std::string_view name = items[i]->text();
    if (!names.insert(name).second) fail("[torch] {}: the name {} appears twice", file, in_quotes(name));
    check_tensor_count(names.size(), file);
    raw.tensors.push_back({std::string(name), reader.read(name, *call)});
  }
  return raw;
}

}  // namespace gcvit::weights
