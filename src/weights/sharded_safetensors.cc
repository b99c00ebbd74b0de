// SPDX-License-Identifier: Apache-2.0
#include "weights/sharded_safetensors.h"

#include <system_error>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tensor/error.h"
#include "tensor/json_events.h"
#include "weights/in_quotes.h"
#include "weights/mapped_file.h"
#include "weights/safetensors.h"

namespace gcvit::weights {
namespace {

using Assignments = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kEnding = ".safetensors";
constexpr std::size_t kNamesShown = 3;

/// Keeps the weight map's texts and lets everything else pass, event by event.
class IndexReader : public JsonEvents {
 public:
  explicit IndexReader(const std::string& file) : JsonEvents("safetensors", file), file_(file) {}

  Assignments assignments;
  bool has_map = false;

  bool start_object(std::size_t) override {
    if (in_map()) unexpected("an object");
    if (depth_ == 1 && key_ == "weight_map") {
      if (has_map) fail("[safetensors] {}: \"weight_map\" appears twice", file_);
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
    if (in_map()) {
      check_shard(text);
      check_tensor_count(assignments.size() + 1, file_);
      assignments.emplace_back(text, key_);
    }
    return value("a text");
  }

  bool start_array(std::size_t) override {
    if (in_map()) unexpected("an array");
    if (depth_ == 0) value("an array");
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

  [[noreturn]] void unexpected(std::string_view found) const {
    fail("[safetensors] {}: weight_map: {}: expected a file's name, found {}", file_, in_quotes(key_), found);
  }

  bool value(std::string_view found) const {
    if (depth_ == 0) fail("[safetensors] {}: expected an object, found {}", file_, found);
    if (depth_ == 1 && key_ == "weight_map")
      fail("[safetensors] {}: weight_map: expected an object, found {}", file_, found);
    return true;
  }

  bool other(std::string_view found) const {
    if (in_map()) unexpected(found);
    return value(found);
  }

  void check_shard(std::string_view shard) const {
    const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
    if (!plain || !shard.ends_with(kEnding) || shard.starts_with('.')) {
      fail("[safetensors] {}: weight_map: {}: expected the name of a .safetensors file in the same folder, found {}",
           file_, in_quotes(key_), in_quotes(shard));
    }
  }

  const std::string& file_;
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
void append_shard(RawFile& raw, RawFile shard, std::span<const std::pair<std::string, std::string>> expected,
                  const std::string& file) {
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

}  // namespace

Assignments parse_shard_index(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() > kMaximalShardIndex) {
    fail("[safetensors] {}: expected an index of at most {} bytes, file has {}", file, kMaximalShardIndex,
         bytes.size());
  }
  IndexReader reader(file);
  read_json_events({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, reader);
  if (!reader.has_map) fail("[safetensors] {}: expected a \"weight_map\", found none", file);
  Assignments assignments = std::move(reader.assignments);
  std::ranges::sort(assignments, {}, [](const auto& assignment) { return std::string_view(assignment.second); });
  const auto doubled = std::ranges::adjacent_find(assignments, {}, &Assignments::value_type::second);
  if (doubled != assignments.end()) {
    fail("[safetensors] {}: weight_map: the name {} appears twice", file, in_quotes(doubled->second));
  }
  std::ranges::sort(assignments);
  return assignments;
}

RawFile read_sharded_safetensors(const std::string& index_path) {
  const std::shared_ptr<const MappedFile> index = MappedFile::open(index_path, "safetensors");
  const Assignments assignments = parse_shard_index(index->bytes(), index_path);
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
    fail("[safetensors] {}: {} of {} shards are missing beside it: {}", index_path, missing.size(), shards.size(),
         sentence_of(missing));
  }

  RawFile raw{.format = "safetensors", .tensors = {}, .metadata = {}};
  std::size_t begin = 0;
  for (const std::string& shard : shards) {
    std::size_t end = begin;
    while (end < assignments.size() && assignments[end].first == shard) ++end;
    const std::string path = (folder / shard).string();
    RawFile piece = read_safetensors(path);
    if (begin == 0) raw.metadata = std::move(piece.metadata);
    append_shard(raw, std::move(piece), std::span(assignments).subspan(begin, end - begin), path);
    begin = end;
  }
  raw.notes.push_back(fmt::format("{} shards from the index's weight_map", shards.size()));
  return raw;
}

}  // namespace gcvit::weights
