// SPDX-License-Identifier: Apache-2.0
// WebDataset shards: tar archives whose members with one key, the path up to the first dot of its file name, make a
// sample: key.jpg with key.cls (an index or a name) or key.json with a "label". A photo is located once and then read
// in place.

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/listing.h"
#include "data/shards.h"
#include "data/sources.h"
#include "data/tar.h"
#include "base/error.h"
#include "base/json.h"
#include "base/open_file.h"

namespace gcvit::data {
namespace {

/// Of a label's member.
constexpr std::uint64_t kMaxLabelBytes = std::uint64_t{1} << 20;

/// What the members of one key add up to.
struct Group {
  std::optional<Sample> image;
  std::optional<std::string> label;
  std::string ending;  ///< of the photo, from the first dot on
};

/// A shard's file, read in pieces.
class ShardFile {
 public:
  explicit ShardFile(const std::string& path) : path_(path), file_(open_regular_file(path, "tar")) {}

  std::uint64_t size() const { return file_.size; }

  std::span<const std::byte> read(std::uint64_t offset, std::size_t size) {
    piece_.resize(size);
    if (read_at(file_, offset, piece_, "tar", path_) < size) {
      fail("[tar] {}: byte {}: can't be read: the file became shorter", path_, offset);
    }
    return piece_;
  }

 private:
  std::string path_;
  RegularFile file_;
  std::vector<std::byte> piece_;
};

/// The label that a JSON member gives; nothing if it has none. `place` names the member in errors.
std::optional<std::string> label_in_json(std::string_view text, const std::string& place) {
  const nlohmann::json json = parse_json(text, "tar", place);
  if (!json.is_object()) return std::nullopt;
  for (const char* const key : {"label", "cls", "class"}) {
    const auto found = json.find(key);
    if (found == json.end()) continue;
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number_unsigned()) return std::to_string(found->get<std::uint64_t>());
    if (found->is_number_integer()) return std::to_string(found->get<std::int64_t>());
  }
  return std::nullopt;
}

/// Whether a path contains a hidden name or is macOS metadata ("._a.jpg", "__MACOSX/a.jpg").
bool is_hidden(std::string_view path) {
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    if (is_passed_over(name) && name != "." && name != "..") return true;
    path.remove_prefix(std::min(name.size() + 1, path.size()));
  }
  return false;
}

std::string key_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return path.substr(0, path.find('.', slash == std::string::npos ? 0 : slash));
}

void note_other(OtherTarMembers& rest, const std::string& ending, const std::string& name) {
  OtherFiles& others = rest.others[ending];
  if (others.count++ == 0) others.example = name;
}

}  // namespace

void read_tar_members(std::uint64_t size, const TarBytes& bytes, const std::string& file, const std::string& shard,
                      ImageSet& set, std::vector<std::string>& labels, OtherTarMembers& rest) {
  std::vector<std::string> keys;
  std::map<std::string, Group> groups;
  read_tar(size, bytes, file, [&](const TarMember& member) {
    if (is_hidden(member.path)) return;
    // A path with more dots has its last one's key as well, which is of use where the first one's has no photo.
    const std::string first_key = key_of(member.path);
    const std::string ending = ending_of(std::string_view(member.path).substr(first_key.size()));
    const std::string key = member.path.substr(0, member.path.size() - ending.size());
    const bool is_image = is_image_name("x" + ending);
    const bool is_label = ending == ".cls" || ending == ".json";
    if (!is_image && !is_label) {
      if (!member.path.ends_with('/')) note_other(rest, ending, member.path);
      return;
    }
    if (!is_inner_path(member.path) || (is_image && member.size == 0)) {
      if (rest.unsafe.count++ == 0) rest.unsafe.example = shard + "/" + member.path;
      return;
    }
    const auto [entry, added] = groups.try_emplace(key);
    if (added) keys.push_back(key);
    Group& group = entry->second;
    if (is_image) {
      if (group.image) fail("[tar] {}: \"{}\": expected one photo of that name, found two", file, key);
      group.image = Sample{shard + "/" + member.path, 0, file, member.offset, member.size};
      group.ending = lower_case(std::string_view(member.path).substr(first_key.size()));
      return;
    }
    if (member.size > kMaxLabelBytes) {
      fail("[tar] {}: \"{}\": expected a label of at most 1 MiB, found {} bytes", file, member.path, member.size);
    }
    const std::span<const std::byte> content = bytes(member.offset, static_cast<std::size_t>(member.size));
    const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
    if (ending == ".cls") {
      group.label = trimmed(text);
    } else if (!group.label) {
      group.label = label_in_json(text, fmt::format("{}: \"{}\"", file, member.path));
    }
  });
  for (const std::string& key : keys) {
    Group& group = groups[key];
    const std::string first_key = key_of(key);
    if (key != first_key) {
      const auto first = groups.find(first_key);
      const bool has_image = first != groups.end() && first->second.image;
      if (group.image && (!group.label || has_image)) {
        note_other(rest, group.ending, group.image->name);
        continue;
      }
    }
    if (!group.image) {
      if (group.label && rest.lonely.count++ == 0) rest.lonely.example = shard + "/" + key;
      continue;
    }
    if (!group.label || group.label->empty()) {
      fail("[tar] {}: \"{}\": expected its label in {}.cls, or in {}.json as \"label\", found none", file,
           group.image->name, key, key);
    }
    set.samples.push_back(std::move(*group.image));
    labels.push_back(std::move(*group.label));
  }
}

std::vector<std::string> expand_shard_names(const std::string& pattern) {
  const std::size_t open = pattern.find('{');
  const std::size_t close = pattern.find('}', open);
  const std::size_t dots = pattern.find("..", open);
  const auto refuse = [&] { fail("[tar] {}: expected a range like {{0000..0007}}", pattern); };
  if (close == std::string::npos || dots == std::string::npos || dots > close) refuse();
  const std::string first_text = pattern.substr(open + 1, dots - open - 1);
  const std::string last_text = pattern.substr(dots + 2, close - dots - 2);
  const auto number = [&](const std::string& text) {
    if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) refuse();
    return std::stoul(text);
  };
  const unsigned long first = number(first_text);
  const unsigned long last = number(last_text);
  constexpr unsigned long kMostShards = 1'000'000;
  if (last < first || last - first >= kMostShards) refuse();
  std::vector<std::string> names;
  for (unsigned long i = first; i <= last; ++i) {
    const std::size_t width = first_text.starts_with('0') ? first_text.size() : 0;
    names.push_back(fmt::format("{}{:0{}}{}", pattern.substr(0, open), i, width, pattern.substr(close + 1)));
  }
  return names;
}

ImageSet read_tar_shards(const std::string& root, const std::vector<Shard>& shards, bool whole,
                         const OpenOptions& options) {
  ImageSet set;
  set.root = root;
  set.kind = SourceKind::kTar;
  std::vector<std::string> labels;
  OtherTarMembers rest;
  add_shards(set, shards, whole, options, [&](const Shard& shard) {
    check_shard(shard.file, "tar", "a tar archive");
    ShardFile file(shard.file);
    const TarBytes bytes = [&](std::uint64_t offset, std::size_t size) { return file.read(offset, size); };
    read_tar_members(file.size(), bytes, shard.file, shard.name, set, labels, rest);
  });
  std::vector<LeftOut> left_out = other_kinds(rest.others, "", "members");
  for (LeftOut* const one : {&rest.unsafe, &rest.lonely}) {
    if (one->count > 0) left_out.push_back(std::move(*one));
  }
  if (set.samples.empty()) {
    std::string found;
    for (const LeftOut& one : left_out) found += (found.empty() ? "" : " and ") + describe(one);
    fail("[tar] {}: expected photos as KEY.jpg ({}) with their classes as KEY.cls or KEY.json, found {}", root,
         kImageKinds, found.empty() ? "none" : found);
  }
  std::move(left_out.begin(), left_out.end(), std::back_inserter(set.left_out));
  label_samples(set, labels);
  return set;
}

}  // namespace gcvit::data
