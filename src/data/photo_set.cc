// SPDX-License-Identifier: Apache-2.0
#include "data/photo_set.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "data/listing.h"
#include "data/sources.h"
#include "tensor/error.h"
#include "tensor/open_file.h"

namespace gcvit::data {
namespace {

constexpr std::int32_t kAmbiguous = -1;

/// Two names are one when they differ in nothing but the case of ASCII letters and `_` for a space.
std::string canonical(std::string_view name) {
  std::string result = lower_case(name);
  for (char& letter : result) {
    if (letter == '_') letter = ' ';
  }
  return result;
}

/// From a class's canonical name to its index.
std::map<std::string, std::int32_t> class_of_name(std::span<const std::string> class_names,
                                                  std::span<const std::string> wordnet_ids) {
  std::map<std::string, std::int32_t> classes;
  for (const std::span<const std::string> names : {class_names, wordnet_ids}) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto label = static_cast<std::int32_t>(i);
      const auto [entry, added] = classes.emplace(canonical(names[i]), label);
      if (!added && entry->second != label) entry->second = kAmbiguous;
    }
  }
  return classes;
}

/// The model's class of each of the set's.
std::vector<std::int32_t> matching_classes(PhotoSet& set, std::span<const std::string> class_names,
                                           std::span<const std::string> wordnet_ids) {
  std::vector<std::int32_t> labels;
  std::optional<std::string> stranger;
  if (!set.numbered) {
    const std::map<std::string, std::int32_t> classes = class_of_name(class_names, wordnet_ids);
    for (const std::string& name : set.classes) {
      const auto found = classes.find(canonical(name));
      if (found == classes.end()) {
        if (!stranger) stranger = name;
        continue;
      }
      if (found->second == kAmbiguous) {
        fail("[data] {}: class \"{}\": two classes of the model have that name; name it by its WordNet id", set.root,
             name);
      }
      labels.push_back(found->second);
    }
    if (!stranger) return labels;
    if (!labels.empty()) {
      fail("[data] {}: class \"{}\": expected a class of the model, as {} others are, found no such class", set.root,
           *stranger, labels.size());
    }
  }
  if (set.classes.size() > class_names.size()) {
    fail("[data] {}: expected at most {} classes, as the model has, found {}", set.root, class_names.size(),
         set.classes.size());
  }
  if (!set.numbered) {
    set.notices.push_back(
        fmt::format("{}: no class has the name of one of the model's: classes are taken as 0 to {} by their order, "
                    "\"{}\" as \"{}\"",
                    set.root, set.classes.size() - 1, set.classes.front(), class_names.front()));
  }
  for (std::size_t i = 0; i < set.classes.size(); ++i) labels.push_back(static_cast<std::int32_t>(i));
  return labels;
}

}  // namespace

namespace {

bool is_tar_name(const std::string& name) { return lower_case(name).ends_with(".tar"); }

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

/// The files in `folder` whose names `is_one` likes, with their paths.
template <typename IsOne>
std::vector<std::string> paths_in(const std::string& folder, const IsOne& is_one) {
  std::vector<std::string> paths;
  for (const std::string& name : files_in(folder)) {
    if (is_one(name)) paths.push_back((std::filesystem::path(folder) / name).string());
  }
  return paths;
}

}  // namespace

PhotoSet open_photo_set(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    if (lower_case(path).ends_with(".csv")) return read_csv_list(path);
    const bool ranges = path.find('{') != std::string::npos && !std::filesystem::exists(path, error);
    if (is_tar_name(path)) return read_tar_shards(path, ranges ? expand_shard_names(path) : std::vector{path});
    if (is_tfrecord_name(std::filesystem::path(path).filename().string())) return read_tfrecord_shards(path, {path});
    return read_class_folders(path);  // says what is wrong
  }
  const std::vector<std::string> folders = folders_in(path);
  std::string shards = folders.empty() ? path : newest_version(path, folders);
  if (!shards.empty()) {
    const std::vector<std::string> records = paths_in(shards, is_tfrecord_name);
    if (!records.empty()) return read_tfrecord_shards(path, records);
  }
  if (folders.empty()) {
    const std::vector<std::string> archives = paths_in(path, is_tar_name);
    if (!archives.empty()) return read_tar_shards(path, archives);
  }
  return read_class_folders(path);
}

void label_samples(PhotoSet& set, std::span<const std::string> labels) {
  std::vector<std::int32_t> indices;
  for (const std::string& label : labels) {
    std::int32_t index = 0;
    const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), index);
    if (error != std::errc() || end != label.data() + label.size() || index < 0) break;
    indices.push_back(index);
  }
  set.numbered = indices.size() == labels.size();
  if (set.numbered) {
    const auto largest = std::max_element(indices.begin(), indices.end());
    if (*largest >= kMaxClasses) {
      fail("[data] {}: photo \"{}\": expected a label below {}, found {}", set.root,
           set.samples[static_cast<std::size_t>(largest - indices.begin())].name, kMaxClasses, *largest);
    }
    for (std::int32_t i = 0; i <= *largest; ++i) set.classes.push_back(std::to_string(i));
  } else {
    const std::set<std::string> names(labels.begin(), labels.end());
    set.classes.assign(names.begin(), names.end());
    indices.clear();
    for (const std::string& label : labels) {
      const auto place = std::lower_bound(set.classes.begin(), set.classes.end(), label);
      indices.push_back(static_cast<std::int32_t>(place - set.classes.begin()));
    }
  }
  for (std::size_t i = 0; i < set.samples.size(); ++i) set.samples[i].label = indices[i];
  for (std::size_t i = 0; i < set.classes.size(); ++i) set.present.push_back(static_cast<std::int32_t>(i));
}

void adopt_classes(PhotoSet& set, std::span<const std::string> class_names, std::span<const std::string> wordnet_ids) {
  const std::vector<std::int32_t> labels = matching_classes(set, class_names, wordnet_ids);
  for (Sample& sample : set.samples) sample.label = labels[static_cast<std::size_t>(sample.label)];
  for (std::int32_t& label : set.present) label = labels[static_cast<std::size_t>(label)];
  set.classes.assign(class_names.begin(), class_names.end());
  set.numbered = false;
}

namespace {

/// Keeps the samples for which `wanted` holds.
template <typename Wanted>
void keep(PhotoSet& set, const Wanted& wanted) {
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

/// One a sample: whether a line of the file is its name.
std::vector<bool> samples_in_list(
    const PhotoSet& set, const std::string& list_file, const std::function<void()>& while_waiting = [] {}) {
  std::set<std::string> missing;
  for (std::string& line : read_lines(list_file, while_waiting)) missing.insert(std::move(line));
  if (missing.empty()) fail("[data] {}: expected a path a line, found none", list_file);
  std::vector<bool> listed(set.samples.size());
  for (std::size_t i = 0; i < listed.size(); ++i) listed[i] = missing.erase(set.samples[i].name) > 0;
  if (!missing.empty()) {
    fail("[data] {}: \"{}\": expected a photo of {}, found none ({} such lines)", list_file, *missing.begin(), set.root,
         missing.size());
  }
  return listed;
}

}  // namespace

void restrict_to_list(PhotoSet& set, const std::string& list_file) {
  const std::vector<bool> listed = samples_in_list(set, list_file);
  keep(set, [&](std::size_t i) { return static_cast<bool>(listed[i]); });
}

void validate_on_list(PhotoSet& set, const std::string& list_file, const std::function<void()>& while_waiting) {
  set.validates = samples_in_list(set, list_file, while_waiting);
}

void restrict_to_validation(PhotoSet& set) {
  if (set.validates.empty()) return;
  const std::size_t all = set.samples.size();
  keep(set, [&](std::size_t i) { return static_cast<bool>(set.validates[i]); });
  set.validates.clear();
  set.notices.push_back(
      fmt::format("{}: of {} photos the {} that validate are taken", set.root, all, set.samples.size()));
}

std::string describe(const Sample& sample) {
  return sample.size == 0 ? sample.file : fmt::format("{}: \"{}\"", sample.file, sample.name);
}

std::uint64_t size_of(const Sample& sample) {
  if (sample.size != 0) return sample.size;
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(sample.file, error);
  return error ? 0 : size;
}

std::vector<std::byte> read_sample(const Sample& sample) {
  const std::string name = describe(sample);
  if (sample.size == 0) return read_regular_file(sample.file, "data", kMaxPhotoBytes, name);
  if (sample.size > kMaxPhotoBytes) fail("[data] {}: expected at most 1 GiB, found {} bytes", name, sample.size);
  const RegularFile file = open_regular_file(sample.file, "data", name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(sample.size));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::pread(file.descriptor.number(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(sample.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read("data", name, errno);
    if (count == 0) {
      fail("[data] {}: expected a readable photo, found: an end after {} of {} bytes", name, done, bytes.size());
    }
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

image::Image decode_sample(const Sample& sample, const image::DecodeOptions& options) {
  const auto share = image::take_file_memory(size_of(sample), options);
  return image::decode(read_sample(sample), describe(sample), options);
}

}  // namespace gcvit::data
