// SPDX-License-Identifier: Apache-2.0
// TFRecord shards of tf.Example, such as TensorFlow Datasets lays a data set out: NAME-SPLIT.tfrecord-0000i-of-0000n,
// with the class names in label.labels.txt beside them. A photo is found once and then read from where it lies in its
// shard; the checksum of its record is compared then.
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include "data/example_index.h"
#include "data/listing.h"
#include "data/shards.h"
#include "data/sources.h"
#include "data/tfrecord.h"
#include "base/error.h"
#include "base/open_file.h"
#include "base/resource_error.h"

namespace gcvit::data {
namespace {

/// What a shard's file name says.
struct ShardName {
  std::string base;  ///< without its number
  std::size_t count = 1;
};

/// The number that `text` is, if it is one of five digits or so.
std::optional<std::size_t> digits(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size() && text.size() >= 2 && text.size() <= 9;
  return whole ? std::optional(number) : std::nullopt;
}

std::optional<ShardName> parse_shard_name(const std::string& name) {
  if (name.starts_with('.')) return std::nullopt;
  ShardName shard{.base = name};
  bool numbered = false;
  const std::size_t of = name.rfind("-of-");
  if (of != std::string::npos && of > 0) {
    const std::size_t dash = name.rfind('-', of - 1);
    if (dash != std::string::npos) {
      const auto index = digits(std::string_view(name).substr(dash + 1, of - dash - 1));
      const auto count = digits(std::string_view(name).substr(of + 4));
      if (index && count) {
        if (*index >= *count) return std::nullopt;
        shard = {name.substr(0, dash), *count};
        numbered = true;
      }
    }
  }
  const std::string ending = ending_of(shard.base);
  for (const std::string_view known : {".tfrecord", ".tfrecords", ".tfrec"}) {
    if (ending == known) return shard;
  }
  // "train-00000-of-01024"
  return numbered && ending.empty() ? std::optional(shard) : std::nullopt;
}

/// The series of a shard whose number precedes its extension ("x_00002-of-00010.tfrecord"); nothing for others.
std::optional<ShardName> series_before_ending(const std::string& name) {
  const std::string ending = ending_of(name);
  const std::string stem = name.substr(0, name.size() - ending.size());
  const std::size_t of = stem.rfind("-of-");
  if (ending.empty() || of == std::string::npos || of == 0) return std::nullopt;
  const std::size_t joint = stem.find_last_of("-_", of - 1);
  if (joint == std::string::npos) return std::nullopt;
  const auto index = digits(std::string_view(stem).substr(joint + 1, of - joint - 1));
  const auto count = digits(std::string_view(stem).substr(of + 4));
  if (!index || !count || *index > *count) return std::nullopt;  // some count from 1
  return ShardName{stem.substr(0, joint) + ending, *count};
}

/// A million names.
constexpr std::uint64_t kMaxNamesBytes = std::uint64_t{1} << 27;

/// The class names in the file next to the shards; none if there is no such file.
std::vector<std::string> class_names_in(const std::filesystem::path& folder) {
  const std::filesystem::path names = folder / "label.labels.txt";
  std::error_code error;
  if (!std::filesystem::exists(names, error)) return {};
  std::vector<std::string> lines =
      lines_of(read_regular_text(names.string(), "tfrecord", kMaxNamesBytes), names.string());
  std::set<std::string_view> seen;
  for (const std::string& name : lines) {
    if (!seen.insert(name).second)
      fail("[tfrecord] {}: expected a name once, found \"{}\" twice", names.string(), name);
  }
  return lines;
}

/// The class names next to the shards, or next to the folders of their splits. Throws `Error` when
/// those of two splits differ: a number would mean two classes.
std::vector<std::string> class_names_of(std::span<const Shard> shards) {
  std::vector<std::string> names;
  std::optional<std::filesystem::path> first;  // empty for shards that are named without their folder
  for (const Shard& shard : shards) {
    std::filesystem::path folder = std::filesystem::path(shard.file).parent_path();
    if (folder == first) continue;
    std::vector<std::string> found = class_names_in(folder);
    if (found.empty() && shard.split) found = class_names_in(folder.parent_path());
    if (first && found != names) {
      fail("[tfrecord] {}: expected the classes of {} in its label.labels.txt, found others", folder.string(),
           first->string());
    }
    first = std::move(folder);
    names = std::move(found);
  }
  return names;
}

/// From each class's name to its index.
using ClassIndex = std::unordered_map<std::string_view, std::size_t>;

/// The class that a record's label is: a name, or the number of one.
std::optional<std::size_t> class_of(const std::string& label, const ClassIndex& classes) {
  if (const auto named = classes.find(label); named != classes.end()) return named->second;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), index);
  if (error != std::errc() || end != label.data() + label.size() || index >= classes.size()) return std::nullopt;
  return index;
}

/// What data sets call the encoded photo, and its class: the first of these that is there.
constexpr std::array<std::string_view, 9> kImageNames = {"image",       "image/encoded", "image_raw",
                                                         "image_bytes", "encoded_image", "image_encoded",
                                                         "image_data",  "img",           "jpeg"};
constexpr std::array<std::string_view, 15> kLabelNames = {
    "label",       "labels",   "class",  "image/class/label", "class/label", "class_id",    "label_id",  "class_label",
    "class_index", "category", "target", "image/class/text",  "class_name",  "image/label", "label_name"};

using Features = std::map<std::string, Feature>;

const Feature* feature_of(const Features& features, std::span<const std::string_view> names) {
  for (const std::string_view name : names) {
    const auto found = features.find(std::string(name));
    if (found != features.end() && found->second.values > 0) return &found->second;
  }
  return nullptr;
}

/// "class (an integer), image (bytes)"
std::string shown(const Features& features) {
  constexpr std::size_t kMost = 20;
  constexpr std::array<std::string_view, 4> kKinds = {"empty", "bytes", "floats", "integers"};
  std::string text;
  std::size_t count = 0;
  for (const auto& [name, feature] : features) {
    if (count++ == kMost) return text + ", ...";
    text +=
        fmt::format("{}\"{}\" ({})", text.empty() ? "" : ", ", name, kKinds[static_cast<std::size_t>(feature.kind)]);
  }
  return text.empty() ? "none" : text;
}

/// A photo without its label.
struct Example {
  Sample sample;
  std::string label;
};

/// The longest name of a class that a record may have.
constexpr std::uint64_t kMostLabelBytes = 1024;

Example read_example(TfrecordReader& reader, const TfrecordReader::Record& record, const std::string& file,
                     std::size_t number) {
  const Features features = features_of(reader, record, file, number);
  const auto refuse = [&](std::string_view expected) {
    fail("[tfrecord] {}: record {}: expected {}, found the features {}", file, number, expected, shown(features));
  };
  const Feature* const image = feature_of(features, kImageNames);
  if (image == nullptr || image->kind != Feature::Kind::kBytes || image->values != 1 || image->size == 0) {
    refuse(fmt::format("a feature of one encoded photo ({})", fmt::join(kImageNames, ", ")));
  }
  const Feature* const label = feature_of(features, kLabelNames);
  const bool is_index = label != nullptr && label->kind == Feature::Kind::kIntegers;
  const bool is_name =
      label != nullptr && label->kind == Feature::Kind::kBytes && label->size > 0 && label->size <= kMostLabelBytes;
  if (label == nullptr || label->values != 1 || !(is_index || is_name)) {
    refuse(fmt::format("a feature of one class, an integer or a name ({})", fmt::join(kLabelNames, ", ")));
  }
  Example example;
  example.sample.offset = image->offset;
  example.sample.size = image->size;
  example.sample.record_offset = record.offset;
  example.sample.record_size = record.size;
  if (is_name) {
    const std::span<const std::byte> bytes = reader.piece(label->offset, static_cast<std::size_t>(label->size));
    example.label = trimmed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (example.label.empty()) refuse("a name for its class");
    return example;
  }
  if (label->integer < 0 || label->integer >= kMaxClasses) {
    fail("[tfrecord] {}: record {}: expected a label from 0 to below {}, found {}", file, number, kMaxClasses,
         label->integer);
  }
  example.label = std::to_string(label->integer);
  return example;
}

/// Throws `Error` when the shard doesn't begin with a record, saying what it is where that is known. A record's length may
/// begin as a file of another kind does: its checksum is asked first.
void check_begin(const std::string& file) {
  try {
    if (TfrecordReader(file).next()) return;
  } catch (const ResourceError&) {
    throw;
  } catch (const Error&) {
    check_shard(file, "tfrecord", "TFRecord shards");
    throw;
  }
  check_shard(file, "tfrecord", "TFRecord shards");
}

/// Shards of each series, found and expected; `series_of` reads a shard's name.
std::map<std::string, std::pair<std::size_t, std::size_t>> count_series(
    std::span<const Shard> shards, std::optional<ShardName> (*series_of)(const std::string& name)) {
  std::map<std::string, std::pair<std::size_t, std::size_t>> counts;
  for (const Shard& shard : shards) {
    const auto series = series_of(shard.name);
    if (!series) continue;
    auto& [found, expected] = counts[series->base];
    ++found;
    expected = std::max(expected, series->count);
  }
  return counts;
}

/// Throws `Error` when shards of a series are missing.
void check_complete(const std::string& root, std::span<const Shard> shards) {
  for (const auto& [base, count] : count_series(shards, parse_shard_name)) {
    if (count.first != count.second) {
      fail("[tfrecord] {}: expected {} shards of {}, found {}", root, count.second, base, count.first);
    }
  }
}

/// Reports series that lack shards. Names with the number before the extension are too common for this to be an error.
void note_incomplete(ImageSet& set, std::span<const Shard> shards) {
  for (const auto& [base, count] : count_series(shards, series_before_ending)) {
    if (count.first >= count.second) continue;
    set.notices.push_back(fmt::format("{}: of the {} shards of {} only {} {} there", set.root, count.second, base,
                                      count.first, count.first == 1 ? "is" : "are"));
  }
}

}  // namespace

bool is_tfrecord_name(const std::string& name) { return parse_shard_name(name).has_value(); }

ImageSet read_tfrecord_shards(const std::string& root, const std::vector<Shard>& shards, bool whole,
                              const OpenOptions& options) {
  if (!whole) check_complete(root, shards);
  ImageSet set;
  set.root = root;
  set.kind = SourceKind::kTfrecord;
  if (!whole) note_incomplete(set, shards);
  const std::vector<std::string> names = class_names_of(shards);
  ClassIndex classes;
  for (std::size_t i = 0; i < names.size(); ++i) classes.emplace(names[i], i);
  std::vector<std::string> labels;
  add_shards(set, shards, whole, options, [&](const Shard& shard) {
    check_begin(shard.file);
    TfrecordReader reader(shard.file);
    std::size_t number = 0;
    while (const auto record = reader.next()) {
      Example example = read_example(reader, *record, shard.file, number);
      example.sample.name = fmt::format("{}/{:06}", shard.name, number);
      example.sample.file = shard.file;
      if (!names.empty()) {
        const auto index = class_of(example.label, classes);
        if (!index) {
          fail("[tfrecord] {}: record {}: expected one of the {} classes of label.labels.txt, found {}", shard.file,
               number, names.size(), example.label);
        }
        example.sample.label = static_cast<std::int32_t>(*index);
      } else {
        labels.push_back(std::move(example.label));
      }
      set.samples.push_back(std::move(example.sample));
      ++number;
    }
  });
  if (set.samples.empty()) fail("[tfrecord] {}: expected photos, found none", root);
  if (names.empty()) {
    label_samples(set, labels);
    return set;
  }
  set.classes = names;
  set.numbered = all_numbers(names);
  for (std::size_t i = 0; i < names.size(); ++i) set.present.push_back(static_cast<std::int32_t>(i));
  return set;
}

}  // namespace gcvit::data
