// SPDX-License-Identifier: Apache-2.0
#include "data/image_set.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <unordered_set>

#include "data/listing.h"
#include "data/shards.h"
#include "data/sources.h"
#include "data/tfrecord.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/open_file.h"

namespace gcvit::data {
namespace {

bool is_tar_name(const std::string& name) { return lower_case(name).ends_with(".tar"); }

bool is_list_name(const std::string& name) {
  const std::string lower = lower_case(name);
  return lower.ends_with(".csv") || lower.ends_with(".tsv");
}

[[noreturn]] void fail_for_packed(const std::string& file) {
  check_shard(file, "data", "uncompressed shards");
  fail("[data] {}: expected uncompressed shards, found the ending {}", file, ending_of(file));
}

/// The numbers of a folder's name like "3.0.1"; none for other names.
std::optional<std::array<int, 3>> version_of(const std::string& name) {
  std::array<int, 3> version{};
  int read = 0;
  const int numbers = std::sscanf(name.c_str(), "%4d.%4d.%4d%n", &version[0], &version[1], &version[2], &read);
  if (numbers != 3 || static_cast<std::size_t>(read) != name.size()) return std::nullopt;
  return version;
}

/// The shards of the newest version below a data set's folder, as TensorFlow Datasets lays it out; else none.
std::string newest_version(const std::string& folder, const std::vector<std::string>& below) {
  std::optional<std::array<int, 3>> newest;
  std::string found;
  for (const std::string& name : below) {
    const auto version = version_of(name);
    if (!version) return "";
    if (!newest || *version > *newest) {
      newest = version;
      found = folder + "/" + name;
    }
  }
  return found;
}

/// Extensions of archives in which photos can't be read in place.
bool is_packed_name(const std::string& name) {
  const std::string ending = ending_of(name);
  for (const std::string_view packed : {".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".tzst", ".zip"}) {
    if (ending == packed) return true;
  }
  return false;
}

/// The shards of one kind in a folder.
struct ShardsFound {
  std::vector<Shard> shards;
  bool tfrecord = false;
};

/// The shards in `folder`, named with `prefix` before them; none where there are none. Throws `Error` where they are of
/// two kinds, or some can't be read.
ShardsFound shards_in(const std::string& folder, const std::string& prefix = "", std::optional<Split> split = {}) {
  const auto take = [&](const auto& is_one) {
    std::vector<Shard> shards;
    for (const std::string& name : files_in(folder)) {
      if (is_one(name)) shards.push_back({(std::filesystem::path(folder) / name).string(), prefix + name, split});
    }
    return shards;
  };
  const std::vector<Shard> packed = take(is_packed_name);
  std::vector<Shard> records = take(is_tfrecord_name);
  std::vector<Shard> archives = take(is_tar_name);
  if (!records.empty() && !archives.empty()) {
    fail("[data] {}: expected shards of one kind, found {} and {}", folder, records.front().name,
         archives.front().name);
  }
  if (!packed.empty()) fail_for_packed(packed.front().file);
  if (!records.empty()) return {std::move(records), true};
  return {std::move(archives), false};
}

ImageSet read_shards(const std::string& root, const ShardsFound& found, const OpenOptions& options) {
  return found.tfrecord ? read_tfrecord_shards(root, found.shards, false, options)
                        : read_tar_shards(root, found.shards, false, options);
}

/// The shards in folders that are named after splits.
ShardsFound shards_of_splits(const std::string& root, const std::vector<std::string>& folders) {
  const auto splits = split_folders(folders);
  if (!splits) return {};
  ShardsFound all;
  for (const SplitFolder& split : *splits) {
    const std::string folder = (std::filesystem::path(root) / split.name).string();
    if (!folders_in(folder).empty()) return {};
    ShardsFound found = shards_in(folder, split.name + "/", split.split);
    if (found.shards.empty()) continue;
    if (!all.shards.empty() && all.tfrecord != found.tfrecord) {
      fail("[data] {}: expected shards of one kind, found {} and {}", root, all.shards.front().name,
           found.shards.front().name);
    }
    all.tfrecord = found.tfrecord;
    std::move(found.shards.begin(), found.shards.end(), std::back_inserter(all.shards));
  }
  if (!all.shards.empty()) check_splits(root, *splits);
  return all;
}

/// What a path names that is no folder.
ImageSet open_file(const std::string& path, const OpenOptions& options) {
  std::error_code error;
  const std::string name = std::filesystem::path(path).filename().string();
  if (is_list_name(name)) return read_csv_list(path, options);
  const bool there = std::filesystem::exists(path, error);
  const bool ranges = path.find('{') != std::string::npos && !there;
  if (is_tar_name(name)) {
    std::vector<Shard> shards;
    for (const std::string& file : ranges ? expand_shard_names(path) : std::vector{path}) {
      shards.push_back({file, std::filesystem::path(file).filename().string()});
    }
    return read_tar_shards(path, shards, true, options);
  }
  if (is_tfrecord_name(name)) return read_tfrecord_shards(path, {{path, name}}, true, options);
  if (!there) fail(ErrorCode::kNotFound, "[data] {}: expected a folder, found {}", path, found_instead(path));
  if (is_packed_name(name)) fail_for_packed(path);
  check_shard(path, "data", "a folder, a list or shards");
  fail(
      "[data] {}: expected a folder, a list (.csv, .tsv) or shards (.tar, .tfrecord), found a file with another ending",
      path);
}

}  // namespace

ImageSet open_image_set(const std::string& path, const OpenOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return open_file(path, options);
  const std::vector<std::string> folders = folders_in(path);
  const std::string folder = folders.empty() ? path : newest_version(path, folders);
  if (!folder.empty()) {
    const ShardsFound found = shards_in(folder);
    if (!found.shards.empty()) return read_shards(path, found, options);
  } else if (const ShardsFound found = shards_of_splits(path, folders); !found.shards.empty()) {
    return read_shards(path, found, options);
  }
  return read_class_folders(path, options);
}

namespace {

/// Keeps the samples for which `wanted` holds.
template <typename Wanted>
void keep(ImageSet& set, const Wanted& wanted) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    if (!wanted(i)) continue;
    if (kept != i) {
      set.samples[kept] = std::move(set.samples[i]);
      if (!set.validates.empty()) set.validates[kept] = set.validates[i];
    }
    ++kept;
  }
  set.samples.resize(kept);
  if (!set.validates.empty()) set.validates.resize(kept);
}

/// The name in `names` that a line of a list means: as it stands, or else without blanks around it, without "./" and
/// without the set's folder before it. Nothing where there is none.
std::optional<std::string> name_meant(const std::string& line, const ImageSet& set,
                                      const std::unordered_set<std::string_view>& names) {
  if (names.contains(line)) return line;
  std::string name = std::filesystem::path(trimmed(line)).lexically_normal().string();
  if (names.contains(name)) return name;
  const std::string folder = (std::filesystem::path(set.root) / "").lexically_normal().string();
  if (!name.starts_with(folder)) return std::nullopt;
  name.erase(0, folder.size());
  return names.contains(name) ? std::optional(name) : std::nullopt;
}

/// One a sample: whether a line of the file is its name.
std::vector<bool> samples_in_list(
    const ImageSet& set, const std::string& list_file, const std::function<void()>& while_waiting = [] {}) {
  const std::vector<std::string> lines = read_lines(list_file, while_waiting);
  if (lines.empty()) fail("[data] {}: expected a path a line, found none", list_file);
  std::unordered_set<std::string_view> names;
  for (const Sample& sample : set.samples) names.insert(sample.name);
  std::unordered_set<std::string> wanted;
  std::set<std::string> missing;
  for (const std::string& line : lines) {
    if (std::optional<std::string> name = name_meant(line, set, names)) {
      wanted.insert(std::move(*name));
    } else {
      missing.insert(line);
    }
  }
  if (!missing.empty()) {
    const bool left_out =
        std::any_of(set.left_out.begin(), set.left_out.end(), [](const auto& one) { return one.is_split; });
    fail("[data] {}: \"{}\": expected a photo of {}, found none ({}){}", list_file, *missing.begin(), set.root,
         counted(missing.size(), "such line"), left_out ? "; photos of a test split are left out" : "");
  }
  std::vector<bool> listed(set.samples.size());
  for (std::size_t i = 0; i < listed.size(); ++i) listed[i] = wanted.contains(set.samples[i].name);
  return listed;
}

}  // namespace

void restrict_to_list(ImageSet& set, const std::string& list_file) {
  const std::vector<bool> listed = samples_in_list(set, list_file);
  keep(set, [&](std::size_t i) { return static_cast<bool>(listed[i]); });
  const auto validating = static_cast<std::size_t>(std::count(set.validates.begin(), set.validates.end(), true));
  for (FoundSplit& split : set.splits) {
    if (split.use == SplitUse::kLeftOut) continue;
    split.images = split.use == SplitUse::kValidates ? validating : set.samples.size() - validating;
    split.use = SplitUse::kTaken;
  }
  set.validates.clear();
}

void validate_on_list(ImageSet& set, const std::string& list_file, const std::function<void()>& while_waiting) {
  set.validates = samples_in_list(set, list_file, while_waiting);
  for (FoundSplit& split : set.splits) {
    if (split.use == SplitUse::kValidates) split.use = SplitUse::kTrains;
  }
}

void restrict_to_validation(ImageSet& set) {
  if (set.validates.empty()) {
    const auto test = std::find_if(set.splits.begin(), set.splits.end(), [](const FoundSplit& split) {
      return split.split == Split::kTest && split.use == SplitUse::kLeftOut;
    });
    const bool taken = std::any_of(set.splits.begin(), set.splits.end(),
                                   [](const FoundSplit& split) { return split.use == SplitUse::kTaken; });
    if (test == set.splits.end() || taken) {
      for (FoundSplit& split : set.splits) {
        if (split.use == SplitUse::kTrains) split.use = SplitUse::kTaken;
      }
      return;
    }
    fail("[data] {}: expected photos that validate, found none: --side test takes those of {}, --side train the others",
         set.root, test->name);
  }
  LeftOut others{.reason = "photos that don't validate"};
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    if (!set.validates[i] && others.count++ == 0) others.example = set.samples[i].name;
  }
  keep(set, [&](std::size_t i) { return static_cast<bool>(set.validates[i]); });
  set.validates.clear();
  if (set.splits.empty() && others.count > 0) set.left_out.push_back(others);
  for (FoundSplit& split : set.splits) {
    if (split.use == SplitUse::kValidates) split.use = SplitUse::kTaken;
    if (split.use != SplitUse::kTrains) continue;
    split.use = SplitUse::kLeftOut;
    leave_out_split(set, split, others.example);
  }
}

std::string describe(const Sample& sample) {
  return sample.size == 0 ? sample.file : fmt::format("{}: \"{}\"", sample.file, sample.name);
}

std::uint64_t size_of(const Sample& sample) {
  if (sample.size != 0) return std::max(sample.size, sample.record_size);
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(sample.file, error);
  return error ? 0 : size;
}

namespace {

/// `size` bytes of the sample's file from `offset` on.
std::vector<std::byte> read_part(const Sample& sample, std::uint64_t offset, std::uint64_t size,
                                 const std::string& name) {
  if (size > kMaxImageBytes + kTfrecordFooterBytes)
    fail("[data] {}: expected at most 1 GiB, found {} bytes", name, size);
  const RegularFile file = open_regular_file(sample.file, "data", name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  const std::size_t read = read_at(file, offset, bytes, "data", name);
  if (read < bytes.size()) {
    fail("[data] {}: expected a readable photo, found: an end after {} of {} bytes", name, read, bytes.size());
  }
  return bytes;
}

}  // namespace

std::vector<std::byte> read_sample(const Sample& sample) {
  const std::string name = describe(sample);
  if (sample.size == 0) return read_regular_file(sample.file, "data", kMaxImageBytes, name);
  if (sample.record_size == 0) return read_part(sample, sample.offset, sample.size, name);
  std::vector<std::byte> bytes =
      read_part(sample, sample.record_offset, sample.record_size + kTfrecordFooterBytes, name);
  check_tfrecord(bytes, name);
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(sample.offset - sample.record_offset);
  std::move(begin, begin + static_cast<std::ptrdiff_t>(sample.size), bytes.begin());
  bytes.resize(static_cast<std::size_t>(sample.size));
  return bytes;
}

image::Image decode_sample(const Sample& sample, const image::DecodeOptions& options) {
  const auto share = image::take_file_memory(size_of(sample), options);
  return image::decode(read_sample(sample), describe(sample), options);
}

}  // namespace gcvit::data
