// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_set>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/json_events.h"
#include "formats/in_quotes.h"
#include "formats/mapped_file.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are viewed as they lie in the file");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kMaximalAxes = 32;
constexpr std::size_t kMostMetadata = 65536;
constexpr std::string_view kMetadataKey = "__metadata__";

struct NamedDType {
  std::string_view name;
  DType dtype;
};

/// In the order in which the reference library lays tensors into a file.
constexpr std::array<NamedDType, 8> kDTypes = {{{"I64", DType::kI64},
                                                {"F64", DType::kF64},
                                                {"F32", DType::kF32},
                                                {"I32", DType::kI32},
                                                {"BF16", DType::kBF16},
                                                {"F16", DType::kF16},
                                                {"I8", DType::kI8},
                                                {"U8", DType::kU8}}};

std::size_t rank_of(DType dtype) {
  return static_cast<std::size_t>(std::ranges::find(kDTypes, dtype, &NamedDType::dtype) - kDTypes.begin());
}

/// One tensor as the header describes it.
struct Entry {
  std::string name;
  std::optional<DType> dtype;
  std::optional<Dims> shape;
  bool has_offsets = false;
  std::int64_t begin = 0;  ///< behind the header
  std::int64_t end = 0;
};

/// Takes the header's JSON event by event, so that only its own structure is ever stored and a name that comes twice is
/// seen (a JSON object would silently keep the last).
class HeaderReader : public JsonEvents {
 public:
  explicit HeaderReader(const std::string& file)
      : JsonEvents("safetensors", file + ": header", kLengthBytes), file_(file) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      place_ = key_ == kMetadataKey ? Place::kMetadata : Place::kTensor;
      if (place_ == Place::kTensor) {
        entries.emplace_back().name = key_;
        check_tensor_count(entries.size(), file_);
      }
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      const Entry& entry = entries.back();
      if (!entry.dtype || !entry.shape || !entry.has_offsets) {
        fail("[safetensors] {}: tensor {}: expected dtype, shape and data_offsets, found no {}", file_,
             in_quotes(entry.name),
             !entry.dtype   ? "dtype"
             : !entry.shape ? "shape"
                            : "data_offsets");
      }
    }
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool key(std::string& name) override {
    key_ = name;
    if (place_ == Place::kTop && !names_.insert(name).second) {
      fail("[safetensors] {}: the name {} appears twice", file_, in_quotes(name));
    }
    if (place_ == Place::kMetadata && metadata.contains(name)) {
      fail("[safetensors] {}: metadata key {} appears twice", file_, in_quotes(name));
    }
    if (place_ == Place::kTensor) {
      const Entry& entry = entries.back();
      const bool known = name == "dtype" || name == "shape" || name == "data_offsets";
      if (!known || (name == "dtype" && entry.dtype) || (name == "shape" && entry.shape) ||
          (name == "data_offsets" && entry.has_offsets)) {
        fail("[safetensors] {}: tensor {}: expected dtype, shape and data_offsets once each, found {}{}", file_,
             in_quotes(entry.name), in_quotes(name), known ? " twice" : "");
      }
    }
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::kMetadata) {
      if (metadata.size() == kMostMetadata) {
        fail("[safetensors] {}: metadata: expected at most {} keys, found more", file_, kMostMetadata);
      }
      metadata.emplace(key_, std::move(text));
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      const auto* const found = std::ranges::find(kDTypes, text, &NamedDType::name);
      if (found == kDTypes.end()) {
        fail("[safetensors] {}: tensor {}: expected dtype F32, F16, BF16, F64, I64, I32, I8 or U8, found {}", file_,
             in_quotes(entries.back().name), in_quotes(text));
      }
      entries.back().dtype = found->dtype;
    } else {
      unexpected("a text");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || key_ == "dtype") unexpected("an array");
    place_ = Place::kNumbers;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    Entry& entry = entries.back();
    if (key_ == "shape") {
      entry.shape = numbers_;
    } else if (numbers_.size() != 2) {
      fail("[safetensors] {}: tensor {}: data_offsets: expected begin and end, found {} numbers", file_,
           in_quotes(entry.name), numbers_.size());
    } else {
      entry.has_offsets = true;
      entry.begin = numbers_[0];
      entry.end = numbers_[1];
    }
    return true;
  }

  bool number_unsigned(std::uint64_t number) override {
    if (place_ != Place::kNumbers) unexpected("a number");
    if (number > static_cast<std::uint64_t>(INT64_MAX)) unexpected("a number of more than 63 bits");
    if (numbers_.size() == kMaximalAxes) unexpected("more numbers than any tensor has axes");
    numbers_.push_back(static_cast<std::int64_t>(number));
    return true;
  }

  bool number_integer(std::int64_t) override { unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { unexpected("a number that is no 64-bit integer"); }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("true or false"); }

 private:
  enum class Place : std::uint8_t { kOutside, kTop, kMetadata, kTensor, kNumbers };

  [[noreturn]] void unexpected(std::string_view found) const {
    switch (place_) {
      case Place::kOutside: fail("[safetensors] {}: header: expected an object, found {}", file_, found);
      case Place::kTop: fail("[safetensors] {}: {}: expected an object, found {}", file_, in_quotes(key_), found);
      case Place::kMetadata:
        fail("[safetensors] {}: metadata {}: expected a text, found {}", file_, in_quotes(key_), found);
      case Place::kTensor:
      case Place::kNumbers: break;
    }
    fail("[safetensors] {}: tensor {}: {}: expected {}, found {}", file_, in_quotes(entries.back().name), key_,
         key_ == "dtype" ? "a text" : "an array of integers from 0 on", found);
  }

  const std::string& file_;
  Place place_ = Place::kOutside;
  std::string key_;
  Dims numbers_;
  std::unordered_set<std::string> names_;
};

/// The bytes an entry's dtype and shape need; nullopt when that overflows.
std::optional<std::int64_t> bytes_needed(const Entry& entry) {
  auto bytes = static_cast<std::int64_t>(size_of(*entry.dtype));
  for (const std::int64_t dim : *entry.shape) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return bytes;
}

/// Holds every entry against the `data_size` bytes behind the header: sizes fit, and in order of offsets they cover
/// them all without holes and overlaps.
void check_layout(const std::vector<Entry>& entries, std::int64_t header_end, std::int64_t data_size,
                  const std::string& file) {
  std::int64_t covered = 0;
  for (const Entry& entry : entries) {
    const auto [begin, end] = std::pair(entry.begin, entry.end);
    if (end > data_size) {
      fail("[safetensors] {}: tensor {}: ends at byte {}, file has {}", file, in_quotes(entry.name),
           static_cast<std::uint64_t>(end) + static_cast<std::uint64_t>(header_end), data_size + header_end);
    }
    if (begin > end) {
      fail("[safetensors] {}: tensor {}: data_offsets: begin {} is behind end {}", file, in_quotes(entry.name), begin,
           end);
    }
    const std::optional<std::int64_t> needed = bytes_needed(entry);
    if (!needed || *needed != end - begin) {
      fail("[safetensors] {}: tensor {}: {} {} needs {}, data_offsets give {}", file, in_quotes(entry.name),
           name_of(*entry.dtype), to_string(*entry.shape),
           needed ? counted(static_cast<std::uint64_t>(*needed), "byte") : "more than 2^63 bytes", end - begin);
    }
    if (begin != covered) {
      fail("[safetensors] {}: tensor {}: begins at byte {}, {} the data before it, which end at {}", file,
           in_quotes(entry.name), begin + header_end, begin < covered ? "inside" : "leaving a hole behind",
           covered + header_end);
    }
    covered = end;
  }
  if (covered != data_size) {
    fail("[safetensors] {}: the last tensor ends at byte {}, file has {}", file, covered + header_end,
         data_size + header_end);
  }
}

}  // namespace

RawFile read_safetensors(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path, "safetensors");
  RawFile raw = parse_safetensors(file->bytes(), file, path);
  file->drop_pages();
  raw.mappings.push_back(file);
  return raw;
}

RawFile parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                          const std::string& file) {
  if (bytes.size() < kLengthBytes + 2) {
    fail("[safetensors] {}: expected a header of at least {} bytes, file has {}", file, kLengthBytes + 2, bytes.size());
  }
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), kLengthBytes);
  if (header_size > kMaximalSafetensorsHeader || header_size > bytes.size() - kLengthBytes) {
    fail("[safetensors] {}: header length {}: expected at most {}", file, header_size,
         std::min<std::uint64_t>(kMaximalSafetensorsHeader, bytes.size() - kLengthBytes));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, header_size);
  if (!header.starts_with('{')) fail("[safetensors] {}: header: expected {{ at byte {}", file, kLengthBytes);

  HeaderReader reader(file);
  read_json_events(header, reader);
  std::ranges::sort(reader.entries, {}, [](const Entry& entry) {
    return std::tuple(entry.begin, entry.end, std::string_view(entry.name));
  });
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + header_size);
  check_layout(reader.entries, static_cast<std::int64_t>(kLengthBytes + header_size),
               static_cast<std::int64_t>(data.size()), file);

  RawFile raw{.format = "safetensors", .tensors = {}, .metadata = std::move(reader.metadata)};
  raw.tensors.reserve(reader.entries.size());
  for (Entry& entry : reader.entries) {
    const auto size = static_cast<std::size_t>(entry.end - entry.begin);
    const std::span<const std::byte> piece = data.subspan(static_cast<std::size_t>(entry.begin), size);
    raw.tensors.push_back({std::move(entry.name), Tensor(*entry.dtype, std::move(*entry.shape), owner, piece)});
  }
  return raw;
}

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const std::size_t rank_a = rank_of(a->tensor.dtype());
    const std::size_t rank_b = rank_of(b->tensor.dtype());
    return rank_a != rank_b ? rank_a < rank_b : a->name < b->name;
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  std::unordered_set<std::string> names;
  std::size_t offset = 0;
  for (const NamedTensor* entry : order) {
    if (entry->name == kMetadataKey || !names.insert(entry->name).second) {
      fail("[safetensors] {}: the name {} can't be written {}", path, in_quotes(entry->name),
           entry->name == kMetadataKey ? "as a tensor" : "twice");
    }
    const std::size_t end = offset + entry->tensor.bytes().size();
    header[entry->name] = {{"dtype", kDTypes[rank_of(entry->tensor.dtype())].name},
                           {"shape", entry->tensor.dims()},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    fail("[safetensors] {}: a tensor's name or the metadata is not UTF-8", path);
  }
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the tensors are aligned
  if (text.size() > kMaximalSafetensorsHeader) {
    fail("[safetensors] {}: the header needs {} bytes, at most {} are read", path, text.size(),
         kMaximalSafetensorsHeader);
  }

  AtomicFile file(path);
  const std::uint64_t header_size = text.size();
  file.write(std::as_bytes(std::span(&header_size, 1)));
  file.write(text);
  for (const NamedTensor* entry : order) file.write(entry->tensor.bytes());
  file.commit();
}

}  // namespace gcvit::formats
