// SPDX-License-Identifier: Apache-2.0
#include "weights/state_dict.h"

#include <algorithm>
#include <unordered_set>

#include "tensor/error.h"
#include "weights/in_quotes.h"
#include "weights/strided_copy.h"

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

constexpr std::string_view kRebuild = "torch._utils._rebuild_";
/// Wrappers that training scripts put around a state dict, in the order in which they are looked for.
constexpr std::string_view kWrappers[] = {"state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema"};
constexpr int kDeepestWrapper = 3;
constexpr std::size_t kMaximalAxes = 32;
constexpr std::size_t kKeysShown = 6;

const Items& arguments_of(const PickleValue& call) { return call.items()[1]->items(); }

/// The call that rebuilds a tensor, out of a parameter's; nullptr when the value is no tensor at all.
const PickleValue* tensor_call(const PickleValue* value) {
  while (value->is(Kind::kCall)) {
    const std::string name = value->items()[0]->name();
    if (!name.starts_with(kRebuild)) return nullptr;
    const bool parameter =
        name == "torch._utils._rebuild_parameter" || name == "torch._utils._rebuild_parameter_with_state";
    if (!parameter) return value;
    if (arguments_of(*value).empty()) return nullptr;
    value = arguments_of(*value)[0];  // older than the call: this ends
  }
  return nullptr;
}

/// The last value under a key, which is the one Python keeps; nullptr when there is none.
const PickleValue* find(const PickleValue& dict, std::string_view key) {
  const Items& items = dict.items();
  for (std::size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->is(Kind::kText) && items[i - 2]->text() == key) return items[i - 1];
  }
  return nullptr;
}

bool holds_tensors(const PickleValue& dict) {
  const Items& items = dict.items();
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (items[i]->is(Kind::kText) && tensor_call(items[i + 1]) != nullptr) return true;
  }
  return false;
}

/// A dict of tensors and the keys that lead to it.
struct Choice {
  const PickleValue* dict;
  std::string path;                 ///< empty for the object itself
  std::vector<std::string> others;  ///< what else holds tensors
};

std::optional<Choice> choose(const PickleValue& dict, int depth) {
  std::optional<Choice> choice;
  std::vector<std::string> others;
  if (depth < kDeepestWrapper) {
    for (const std::string_view wrapper : kWrappers) {
      const PickleValue* const inner = find(dict, wrapper);
      if (inner == nullptr || !inner->is(Kind::kDict)) continue;
      std::optional<Choice> found = choose(*inner, depth + 1);
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
  if (holds_tensors(dict)) return Choice{&dict, "", {}};
  return std::nullopt;
}

/// The only dict of tensors directly in `dict`.
std::optional<Choice> choose_only(const PickleValue& dict) {
  std::optional<Choice> choice;
  const Items& items = dict.items();
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (!items[i]->is(Kind::kText) || !items[i + 1]->is(Kind::kDict) || !holds_tensors(*items[i + 1])) continue;
    if (choice) return std::nullopt;
    choice = Choice{items[i + 1], in_quotes(items[i]->text()), {}};
  }
  return choice;
}

Choice choose_dict(const PickleValue& root, const std::string& file) {
  if (root.is(Kind::kObject)) {
    fail("[torch] {}: expected a state_dict, found {}: a whole model was pickled; save model.state_dict() instead",
         file, root.description());
  }
  if (!root.is(Kind::kDict)) fail("[torch] {}: expected a dict of tensors, found {}", file, root.description());
  if (std::optional<Choice> choice = choose(root, 0)) return *std::move(choice);
  if (std::optional<Choice> choice = choose_only(root)) return *std::move(choice);
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
std::optional<DType> dtype_of(std::string_view name) {
  static constexpr std::pair<std::string_view, DType> kNames[] = {
      {"torch.float32", DType::kF32}, {"torch.float16", DType::kF16}, {"torch.bfloat16", DType::kBF16},
      {"torch.float64", DType::kF64}, {"torch.int64", DType::kI64},   {"torch.int32", DType::kI32},
      {"torch.uint8", DType::kU8},    {"torch.bool", DType::kU8}};
  for (const auto& [known, dtype] : kNames) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

class TensorReader {
 public:
  TensorReader(const Storages& storages, const std::shared_ptr<const void>& owner, const std::string& file)
      : storages_(storages), owner_(owner), file_(file) {
    // All copies together are no larger than all storages, so that no file makes more of its bytes than they are.
    for (const auto& [key, bytes] : storages) copies_left_ += bytes.size();
  }

  Tensor read(std::string_view name, const PickleValue& call) {
    name_ = name;
    const std::string function = call.items()[0]->name().substr(kRebuild.size());
    const Items& arguments = arguments_of(call);
    const bool version3 = function == "tensor_v3";
    if (!version3 && function != "tensor_v2" && function != "tensor") {
      broken("expected a dense tensor, found {}", in_quotes(call.items()[0]->name()));
    }
    if (arguments.size() < (version3 ? 7u : 4u)) broken("expected storage, offset, size and stride, found fewer");
    if (!arguments[0]->is(Kind::kPersistent)) broken("expected a storage, found {}", arguments[0]->description());
    const std::optional<StorageId> id = read_storage_id(*arguments[0], file_);
    if (!id) broken("expected a storage, found another persistent id");
    std::optional<DType> dtype = id->type.dtype;
    std::string type = "torch." + std::string(id->type.name);
    if (version3) {
      if (!arguments[6]->is(Kind::kGlobal)) broken("expected a dtype, found {}", arguments[6]->description());
      type = arguments[6]->name();
      dtype = dtype_of(type);
    }
    if (!dtype) broken("expected float32, float16, bfloat16, float64, int64, int32, uint8 or bool, found {}", type);
    if (!arguments[1]->is(Kind::kInteger)) broken("expected an offset, found {}", arguments[1]->description());
    return view(*dtype, storage(*id), arguments[1]->integer(), numbers(*arguments[2], "size"),
                numbers(*arguments[3], "stride"));
  }

 private:
  template <typename... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> what, Args&&... args) const {
    fail("[torch] {}: tensor {}: {}", file_, in_quotes(name_), fmt::format(what, std::forward<Args>(args)...));
  }

  std::span<const std::byte> storage(const StorageId& id) const {
    const auto found = storages_.find(id.key);
    if (found == storages_.end()) broken("its storage {} is not in the file", in_quotes(id.key));
    if (static_cast<std::uint64_t>(id.elements) > found->second.size() / id.type.element_size) {
      broken("its storage {} should have {} elements of {} bytes, has {} bytes", in_quotes(id.key), id.elements,
             id.type.element_size, found->second.size());
    }
    return found->second.first(static_cast<std::size_t>(id.elements) * id.type.element_size);
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
    if (contiguous) return Tensor(dtype, std::move(dims), owner_, rest.first(static_cast<std::size_t>(bytes)));
    if (static_cast<std::uint64_t>(bytes) > copies_left_) {
      broken("size {}, stride {}: copied out of their storages, the tensors would be larger than the file",
             to_string(dims), to_string(strides));
    }
    copies_left_ -= static_cast<std::uint64_t>(bytes);
    return copy_strided(dtype, std::move(dims), strides, rest);
  }

  const Storages& storages_;
  const std::shared_ptr<const void>& owner_;
  const std::string& file_;
  std::string_view name_;
  std::uint64_t copies_left_ = 0;
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
  const std::string type = id.items()[1]->name();
  const std::string_view name = std::string_view(type).substr(type.rfind('.') + 1);
  const auto* const known = std::ranges::find(kStorageTypes, name, &StorageType::name);
  if (!type.starts_with("torch.") || known == std::end(kStorageTypes)) {
    fail("[torch] {}: storage {}: expected a type as torch.FloatStorage, found {}", file,
         in_quotes(id.items()[2]->text()), in_quotes(type));
  }
  if (id.items().size() > 5 && !is(5, Kind::kOther)) {
    fail("[torch] {}: storage {}: expected a storage of its own, found a view of another's (written before torch 0.4)",
         file, in_quotes(id.items()[2]->text()));
  }
  return StorageId{*known, id.items()[2]->text(), id.items()[4]->integer()};
}

RawFile read_state_dict(const PickleValue& root, const Storages& storages, const std::shared_ptr<const void>& owner,
                        const std::string& file) {
  const Choice choice = choose_dict(root, file);
  RawFile raw{.format = "pytorch", .tensors = {}, .metadata = {}};
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
    raw.tensors.push_back({std::string(name), reader.read(name, *call)});
  }
  return raw;
}

}  // namespace gcvit::weights
