// SPDX-License-Identifier: Apache-2.0
#include "formats/sharded_safetensors.h"

#include <system_error>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/json_events.h"
#include "formats/hdf5_file.h"
#include "formats/in_quotes.h"
#include "formats/mapped_file.h"
#include "formats/safetensors.h"

namespace gcvit::formats {
namespace {

using Assignment = std::pair<std::string, std::string>;  // a shard and a name
using Assignments = std::vector<Assignment>;

constexpr std::string_view area_of(ShardKind kind) { return kind == ShardKind::kKeras ? "keras" : "safetensors"; }
constexpr std::string_view ending_of(ShardKind kind) { return kind == ShardKind::kKeras ? ".h5" : ".safetensors"; }

constexpr std::size_t kNamesShown = 3;

/// Keeps the weight map's texts and lets everything else pass, event by event.
class IndexReader : public JsonEvents {
 public:
  IndexReader(const std::string& file, ShardKind kind) : JsonEvents(area_of(kind), file), file_(file), kind_(kind) {}

  Assignments assignments;
  bool has_map = false;

  bool start_object(std::size_t) override {
    if (in_map() || in_list()) unexpected("an object");
    if (depth_ == 1 && key_ == "weight_map") {
      if (has_map) fail("[{}] {}: \"weight_map\" appears twice", area(), file_);
      has_map = map_open_ = true;
    }
    ++depth_;
    return true;
  }

  bool end_object() override {
    if (--depth_ == 1) map_open_ = false;
    return true;
  }

  bool key(std::string& name) override {
    if (depth_ == 1 || in_map()) key_ = name;
    return true;
  }

  bool string(std::string& text) override {
    if (in_map() || in_list()) {
      check_shard(text);
      check_tensor_count(assignments.size() + 1, file_);
      assignments.emplace_back(text, key_);
    }
    return value("a text");
  }

  bool start_array(std::size_t) override {
    if (in_list() || (in_map() && kind_ != ShardKind::kKeras)) unexpected("an array");
    if (depth_ == 0 || (depth_ == 1 && key_ == "weight_map")) value("an array");
    ++depth_;
    return true;
  }

  bool end_array() override {
    --depth_;
    return true;
  }

  bool number_unsigned(std::uint64_t) override { return other("a number"); }
  bool number_integer(std::int64_t) override { return other("a number"); }
  bool number_float(double, const std::string&) override { return other("a number"); }
  bool null() override { return other("null"); }
  bool boolean(bool) override { return other("true or false"); }

 private:
  bool in_map() const { return map_open_ && depth_ == 2; }
  bool in_list() const { return map_open_ && depth_ == 3; }

  [[noreturn]] void unexpected(std::string_view found) const {
    fail("[{}] {}: weight_map: {}: expected a file's name, found {}", area(), file_, in_quotes(key_), found);
  }

  bool value(std::string_view found) const {
    if (depth_ == 0) fail("[{}] {}: expected an object, found {}", area(), file_, found);
    if (depth_ == 1 && key_ == "weight_map")
      fail("[{}] {}: weight_map: expected an object, found {}", area(), file_, found);
    return true;
  }

  bool other(std::string_view found) const {
    if (in_map() || in_list()) unexpected(found);
    return value(found);
  }

  void check_shard(std::string_view shard) const {
    const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
    if (!plain || !shard.ends_with(ending_of(kind_)) || shard.starts_with('.')) {
      fail("[{}] {}: weight_map: {}: expected the name of a {} file in the same folder, found {}", area(), file_,
           in_quotes(key_), ending_of(kind_), in_quotes(shard));
    }
  }

  const std::string& file_;
  ShardKind kind_;
  std::string key_;
  int depth_ = 0;
  bool map_open_ = false;
};

std::string sentence_of(const std::vector<std::string>& names) {
  std::string sentence;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    sentence += (i > 0 ? ", " : "") + in_quotes(names[i]);
  }
  return sentence + (names.size() > kNamesShown ? ", ..." : "");
}

/// Appends a shard's tensors, which must be exactly the `expected` ones.
void append_safetensors(RawFile& raw, RawFile shard, std::span<const Assignment> expected, const std::string& file) {
  std::ranges::sort(shard.tensors, {}, &NamedTensor::name);
  std::size_t next = 0;
  for (NamedTensor& tensor : shard.tensors) {
    if (next < expected.size() && expected[next].second < tensor.name) break;
    if (next == expected.size() || expected[next].second != tensor.name) {
      fail("[safetensors] {}: tensor {}: the index has it in no or another shard", file, in_quotes(tensor.name));
    }
    ++next;
    raw.tensors.push_back(std::move(tensor));
  }
  if (next < expected.size()) {
    fail("[safetensors] {}: tensor {}: the index has it in this shard, which lacks it", file,
         in_quotes(expected[next].second));
  }
}

/// The group of variables that a tensor of a Keras 3 file is in, as the index names it: "/layers/stem/proj/vars" of
/// "layers/stem/proj/vars/0".
std::string group_of(std::string_view name) {
  return '/' + std::string(name.substr(0, std::min(name.rfind('/'), name.size())));
}

/// Appends a shard's variables, which must lie in the `expected` groups, and each of these must have some.
void append_keras(RawFile& raw, RawFile shard, std::span<const Assignment> expected, const std::string& file) {
  std::vector<bool> has(expected.size());
  raw.groups.insert(raw.groups.end(), shard.groups.begin(), shard.groups.end());
  for (NamedTensor& tensor : shard.tensors) {
    const std::string group = group_of(tensor.name);
    const auto found = std::ranges::lower_bound(expected, group, {}, &Assignment::second);
    if (found == expected.end() || found->second != group) {
      fail("[keras] {}: tensor {}: the index has its group in no or another shard", file, in_quotes(tensor.name));
    }
    has[static_cast<std::size_t>(found - expected.begin())] = true;
    check_tensor_count(raw.tensors.size() + 1, file);
    raw.tensors.push_back(std::move(tensor));
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Random states are no tensors.
    if (!has[i] && expected[i].second.find("seed_generator") == std::string::npos) {
      fail("[keras] {}: {}: the index has variables of it in this shard, which lacks them", file,
           in_quotes(expected[i].second));
    }
  }
}

RawFile read_shards(const std::string& index_path, ShardKind kind) {
  const std::string_view area = area_of(kind);
  const std::shared_ptr<const MappedFile> index = MappedFile::open(index_path, area);
  const Assignments assignments = parse_shard_index(index->bytes(), index_path, kind);
  const std::filesystem::path folder = std::filesystem::path(index_path).parent_path();

  std::vector<std::string> shards;
  for (const auto& [shard, name] : assignments) {
    if (shards.empty() || shards.back() != shard) shards.push_back(shard);
  }
  std::vector<std::string> missing;
  for (const std::string& shard : shards) {
    std::error_code error;
    if (!std::filesystem::exists(folder / shard, error)) missing.push_back(shard);
  }
  if (!missing.empty()) {
    fail("[{}] {}: {} of {} {} missing beside it: {}", area, index_path, missing.size(),
         counted(shards.size(), "shard"), missing.size() == 1 ? "is" : "are", sentence_of(missing));
  }

  RawFile raw{.format = kind == ShardKind::kKeras ? "hdf5" : "safetensors", .tensors = {}, .metadata = {}};
  std::size_t begin = 0;
  for (const std::string& shard : shards) {
    std::size_t end = begin;
    while (end < assignments.size() && assignments[end].first == shard) ++end;
    const std::span<const Assignment> expected = std::span(assignments).subspan(begin, end - begin);
    const std::string path = (folder / shard).string();
    if (kind == ShardKind::kKeras) {
      const std::shared_ptr<const MappedFile> file = MappedFile::open(path, area);
      const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
      if (!is_hdf5(text)) fail("[keras] {}: expected an HDF5 file, found {}", path, found_kind(text));
      append_keras(raw, parse_hdf5(file->bytes(), file, path), expected, path);
      raw.mappings.push_back(file);
    } else {
      RawFile piece = read_safetensors(path);
      if (begin == 0) raw.metadata = std::move(piece.metadata);
      raw.mappings.insert(raw.mappings.end(), piece.mappings.begin(), piece.mappings.end());
      append_safetensors(raw, std::move(piece), expected, path);
    }
    begin = end;
  }
  raw.notes.push_back(counted(shards.size(), "shard") + " from the index's weight_map");
  return raw;
}

}  // namespace

Assignments parse_shard_index(std::span<const std::byte> bytes, const std::string& file, ShardKind kind) {
  const std::string_view area = area_of(kind);
  if (bytes.size() > kMaximalShardIndex) {
    fail("[{}] {}: expected an index of at most {} bytes, file has {}", area, file, kMaximalShardIndex, bytes.size());
  }
  const std::string found = file_kind(bytes);
  if (!found.empty() && !found.starts_with("JSON") && !found.starts_with("a text"))
    fail("[{}] {}: expected JSON, found {}", area, file, found);
  IndexReader reader(file, kind);
  read_json_events({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, reader);
  if (!reader.has_map) {
    const bool config = std::filesystem::path(file).filename() == "config.json";
    fail("[{}] {}: expected an index with a \"weight_map\", found {}", area, file,
         config ? "a config.json, which describes the model beside it: name the folder instead" : "none");
  }
  Assignments assignments = std::move(reader.assignments);
  if (kind == ShardKind::kSafetensors) {
    std::ranges::sort(assignments, {}, [](const auto& assignment) { return std::string_view(assignment.second); });
    const auto doubled = std::ranges::adjacent_find(assignments, {}, &Assignment::second);
    if (doubled != assignments.end()) {
      fail("[{}] {}: weight_map: the name {} appears twice", area, file, in_quotes(doubled->second));
    }
  }
  std::ranges::sort(assignments);
  const auto doubled = std::ranges::adjacent_find(assignments);
  if (doubled != assignments.end()) {
    fail("[{}] {}: weight_map: {} appears twice in {}", area, file, in_quotes(doubled->second),
         in_quotes(doubled->first));
  }
  return assignments;
}

RawFile read_sharded_safetensors(const std::string& index_path) {
  return read_shards(index_path, ShardKind::kSafetensors);
}

RawFile read_sharded_keras(const std::string& index_path) { return read_shards(index_path, ShardKind::kKeras); }

}  // namespace gcvit::formats
