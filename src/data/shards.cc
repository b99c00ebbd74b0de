// SPDX-License-Identifier: Apache-2.0
#include "data/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <string>

#include "base/error.h"
#include "base/file_kind.h"
#include "base/open_file.h"

namespace gcvit::data {
namespace {

using SplitOfShard = std::vector<std::optional<Split>>;

/// One a shard when all of them have one, else none.
SplitOfShard splits_of_shards(ImageSet& set, std::span<const Shard> shards) {
  SplitOfShard splits;
  if (!shards.empty() && shards.front().split) {
    for (const Shard& shard : shards) splits.push_back(shard.split);
    return splits;
  }
  std::vector<std::string> names;
  for (const Shard& shard : shards) names.push_back(shard.name);
  splits = splits_of(names);
  const auto without = std::find(splits.begin(), splits.end(), std::nullopt);
  if (without == splits.end()) return splits;
  const auto with =
      std::find_if(splits.begin(), splits.end(), [](const auto& split) { return split && *split != Split::kTrain; });
  if (with != splits.end()) {
    fail("[data] {}: {}: expected one of train, val and test in its name, as {} has, found none or two", set.root,
         names[static_cast<std::size_t>(without - splits.begin())],
         names[static_cast<std::size_t>(with - splits.begin())]);
  }
  const auto train = std::find_if(splits.begin(), splits.end(), [](const auto& split) { return split.has_value(); });
  if (train != splits.end()) {
    set.notices.push_back(fmt::format("{}: {} is taken as {} is, though its name has none of train, val and test",
                                      set.root, names[static_cast<std::size_t>(without - splits.begin())],
                                      names[static_cast<std::size_t>(train - splits.begin())]));
  }
  return {};  // they all train
}

}  // namespace

void add_shards(ImageSet& set, std::span<const Shard> shards, bool whole, const OpenOptions& options,
                const std::function<void(const Shard&)>& add) {
  const SplitOfShard splits = whole && !options.split ? SplitOfShard{} : splits_of_shards(set, shards);
  std::map<Split, FoundSplit> found;
  for (std::size_t i = 0; i < splits.size(); ++i) {
    const bool by_folder = shards[i].split.has_value();
    const std::string name =
        by_folder ? shards[i].name.substr(0, shards[i].name.find('/')) : std::string(name_of(*splits[i]));
    ++found.emplace(*splits[i], FoundSplit{name, *splits[i]}).first->second.shards;
  }
  for (auto& [split, one] : found) set.splits.push_back(std::move(one));
  choose_splits(set, options);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (splits.empty()) {
      add(shards[i]);
      continue;
    }
    FoundSplit& split = *std::find_if(set.splits.begin(), set.splits.end(),
                                      [&](const FoundSplit& one) { return one.split == *splits[i]; });
    if (split.use == SplitUse::kLeftOut) continue;
    const std::size_t before = set.samples.size();
    add(shards[i]);
    split.images += set.samples.size() - before;
    set.validates.resize(set.samples.size(), split.use == SplitUse::kValidates);
  }
  for (const FoundSplit& split : set.splits) {
    if (split.use != SplitUse::kLeftOut) continue;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (*splits[i] != split.split) continue;
      leave_out_split(set, split, shards[i].name);
      break;
    }
  }
  if (!any_validates(set)) set.validates.clear();
}

void check_shard(const std::string& file, std::string_view area, std::string_view expected) {
  const RegularFile opened = open_regular_file(file, area);
  if (opened.size == 0) fail("[{}] {}: expected {}, found an empty file", area, file, expected);
  std::array<std::byte, kFileKindBytes> head;
  const std::size_t count = read_at(opened, 0, head, area, file);
  const std::string kind = placeholder_or_packed_kind(std::span(head).first(count));
  if (!kind.empty()) fail("[{}] {}: expected {}, found {}", area, file, expected, kind);
}

}  // namespace gcvit::data
