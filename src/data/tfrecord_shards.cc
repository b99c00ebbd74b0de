// SPDX-License-Identifier: Apache-2.0
// TFRecord shards of tf.Example as TensorFlow Datasets lays a data set out: NAME-SPLIT.tfrecord-0000i-of-0000n, with the
// class names in label.labels.txt beside them. A photo is found once and then read from where it lies in its shard.
#include <system_error>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>

#include "data/example.pb.h"
#include "data/listing.h"
#include "data/shards.h"
#include "data/sources.h"
#include "data/tfrecord.h"
#include "tensor/error.h"
#include "tensor/open_file.h"

namespace gcvit::data {
namespace {

/// What a shard's file name says; `split` is empty where it says nothing.
struct ShardName {
  std::string base;  ///< up to and with ".tfrecord"
  std::string split;
  std::size_t index = 0;
  std::size_t count = 1;
};

std::optional<ShardName> parse_shard_name(const std::string& name) {
  constexpr std::string_view kEnding = ".tfrecord";
  const std::size_t ending = name.find(kEnding);
  if (ending == std::string::npos || name.starts_with('.')) return std::nullopt;
  ShardName shard;
  shard.base = name.substr(0, ending + kEnding.size());
  const std::size_t dash = name.rfind('-', ending);
  if (dash != std::string::npos && dash < ending) shard.split = name.substr(dash + 1, ending - dash - 1);
  const std::string rest = name.substr(ending + kEnding.size());
  if (rest.empty()) return shard;
  int read = 0;
  if (std::sscanf(rest.c_str(), "-%5zu-of-%5zu%n", &shard.index, &shard.count, &read) != 2 ||
      static_cast<std::size_t>(read) != rest.size() || shard.index >= shard.count) {
    return std::nullopt;
  }
  return shard;
}

/// A million names.
constexpr std::uint64_t kMaxNamesBytes = std::uint64_t{64} << 20;

/// The class names beside the shards; none if they aren't there.
std::vector<std::string> class_names_in(const std::filesystem::path& folder) {
  const std::filesystem::path names = folder / "label.labels.txt";
  std::error_code error;
  if (!std::filesystem::exists(names, error)) return {};
  return lines_of(read_regular_text(names.string(), "tfrecord", kMaxNamesBytes), names.string());
}

/// The image and label of a record; `place` names it in errors.
Sample read_example(const TfrecordReader::Record& record, const std::string& place) {
  proto::Example example;
  if (!example.ParseFromArray(record.bytes.data(), static_cast<int>(record.bytes.size()))) {
    fail("[tfrecord] {}: expected a tf.Example, found other bytes", place);
  }
  const auto& features = example.features().feature();
  const auto image = features.find("image");
  if (image == features.end() || image->second.bytes_list().value_size() != 1 ||
      image->second.bytes_list().value(0).empty()) {
    fail("[tfrecord] {}: expected a feature \"image\" of one encoded photo, found none", place);
  }
  const auto label = features.find("label");
  if (label == features.end() || label->second.int64_list().value_size() != 1) {
    fail("[tfrecord] {}: expected a feature \"label\" of one integer, found none", place);
  }
  const std::int64_t index = label->second.int64_list().value(0);
  if (index < 0 || index >= kMaxClasses) {
    fail("[tfrecord] {}: expected a label from 0 to below {}, found {}", place, kMaxClasses, index);
  }
  const std::string& bytes = image->second.bytes_list().value(0);
  const void* const found = ::memmem(record.bytes.data(), record.bytes.size(), bytes.data(), bytes.size());
  const auto inside = static_cast<const std::byte*>(found) - record.bytes.data();
  Sample sample;
  sample.label = static_cast<std::int32_t>(index);
  sample.offset = record.offset + static_cast<std::uint64_t>(inside);
  sample.size = bytes.size();
  return sample;
}

}  // namespace

bool is_tfrecord_name(const std::string& name) { return parse_shard_name(name).has_value(); }

PhotoSet read_tfrecord_shards(const std::string& root, const std::vector<std::string>& files) {
  std::vector<Shard> shards;
  std::map<std::string, std::pair<std::size_t, std::size_t>> counts;  // of a split: shards found and expected
  for (const std::string& file : files) {
    const std::filesystem::path path(file);
    const auto name = parse_shard_name(path.filename().string());
    if (!name) fail("[tfrecord] {}: expected a name like flowers-train.tfrecord-00000-of-00002", file);
    shards.push_back({file, path.filename().string(), name->split});
    auto& [found, expected] = counts[name->base];
    ++found;
    expected = std::max(expected, name->count);
  }
  if (files.front() != root) {
    for (const auto& [base, count] : counts) {
      if (count.first != count.second) {
        fail("[tfrecord] {}: expected {} shards of {}, found {}", root, count.second, base, count.first);
      }
    }
  }

  PhotoSet set;
  set.root = root;
  set.classes = class_names_in(std::filesystem::path(files.front()).parent_path());
  set.numbered = set.classes.empty();
  const std::size_t named = set.classes.size();
  std::size_t classes = named;
  const auto add = [&](const Shard& shard) {
    TfrecordReader reader(shard.file);
    std::size_t index = 0;
    while (const auto record = reader.next()) {
      const std::string place = fmt::format("{}: record {}", shard.file, index);
      Sample sample = read_example(*record, place);
      if (!set.numbered && static_cast<std::size_t>(sample.label) >= named) {
        fail("[tfrecord] {}: expected one of the {} classes of label.labels.txt, found {}", place, named, sample.label);
      }
      classes = std::max(classes, static_cast<std::size_t>(sample.label) + 1);
      sample.name = fmt::format("{}/{:06}", shard.name, index++);
      sample.file = shard.file;
      set.samples.push_back(std::move(sample));
    }
  };
  add_shards(set, shards, add);
  for (std::size_t i = named; i < classes; ++i) set.classes.push_back(std::to_string(i));
  for (std::size_t i = 0; i < set.classes.size(); ++i) set.present.push_back(static_cast<std::int32_t>(i));
  if (set.samples.empty()) fail("[tfrecord] {}: expected photos, found none", root);
  return set;
}

}  // namespace gcvit::data
