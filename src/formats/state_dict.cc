// SPDX-License-Identifier: Apache-2.0
#include "formats/state_dict.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/counted.h"
#include "base/error.h"
#include "formats/choose_dict.h"
#include "formats/in_quotes.h"
#include "formats/strided_copy.h"

namespace gcvit::formats {
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

/// Tensors of one file may share what lies in it. So much of them is read beyond what the file has once and twice.
constexpr std::uint64_t kSharedBytes = std::uint64_t{16} << 20;
constexpr std::size_t kMaximalAxes = 32;

const Items& arguments_of(const PickleValue& call) { return call.items()[1]->items(); }

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
    const std::string_view function = call.items()[0]->name().substr(kRebuildTensor.size());
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
      broken("its storage {} should have {} of {}, has {}", in_quotes(id.key->text()),
             counted(static_cast<std::uint64_t>(id.elements), "element"), counted(id.type.element_size, "byte"),
             counted(bytes.size(), "byte"));
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
  const ChosenDict chosen = choose_dict(root, options, file);
  RawFile raw{.format = "pytorch", .tensors = {}, .metadata = {}};
  raw.place = chosen.place;
  raw.averaged = chosen.averaged;
  raw.others = chosen.others;
  raw.nameless = chosen.nameless;
  if (!chosen.place.empty()) {
    std::vector<std::string_view> others;
    for (const StoredWeights& one : chosen.others) {
      if (others.empty() || others.back() != one.place) others.push_back(one.place);
    }
    raw.notes.push_back(fmt::format("weights from {} of the saved dict{}", chosen.place,
                                    others.empty() ? ""
                                                   : fmt::format("; {} {} left alone", fmt::join(others, ", "),
                                                                 others.size() == 1 ? "is" : "are")));
  }
  TensorReader reader(storages, owner, file);
  std::unordered_set<std::string_view> names;
  const Items& items = chosen.dict->items();
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

}  // namespace gcvit::formats
