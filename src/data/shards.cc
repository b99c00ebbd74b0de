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

using SideOfShard = std::vector<std::optional<Side>>;

/// One a shard when all of them have one, else none.
SideOfShard sides_of_shards(ImageSet& set, std::span<const Shard> shards) {
  SideOfShard sides;
  if (!shards.empty() && shards.front().side) {
    for (const Shard& shard : shards) sides.push_back(shard.side);
    return sides;
  }
  std::vector<std::string> names;
  for (const Shard& shard : shards) names.push_back(shard.name);
  sides = sides_of(names);
  const auto without = std::find(sides.begin(), sides.end(), std::nullopt);
  if (without == sides.end()) return sides;
  const auto with =
      std::find_if(sides.begin(), sides.end(), [](const auto& side) { return side && *side != Side::kTrain; });
  if (with != sides.end()) {
    fail("[data] {}: {}: expected one of train, val and test in its name, as {} has, found none or two", set.root,
         names[static_cast<std::size_t>(without - sides.begin())],
         names[static_cast<std::size_t>(with - sides.begin())]);
  }
  const auto train = std::find_if(sides.begin(), sides.end(), [](const auto& side) { return side.has_value(); });
  if (train != sides.end()) {
    set.notices.push_back(fmt::format("{}: {} is taken as {} is, though its name has none of train, val and test",
                                      set.root, names[static_cast<std::size_t>(without - sides.begin())],
                                      names[static_cast<std::size_t>(train - sides.begin())]));
  }
  return {};  // they all train
}

}  // namespace

void add_shards(ImageSet& set, std::span<const Shard> shards, bool whole, const OpenOptions& options,
                const std::function<void(const Shard&)>& add) {
  const SideOfShard sides = whole && !options.side ? SideOfShard{} : sides_of_shards(set, shards);
  std::map<Side, SideFound> found;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    const bool by_folder = shards[i].side.has_value();
    const std::string name =
        by_folder ? shards[i].name.substr(0, shards[i].name.find('/')) : std::string(name_of(*sides[i]));
    ++found.emplace(*sides[i], SideFound{name, *sides[i]}).first->second.shards;
  }
  for (auto& [side, one] : found) set.sides.push_back(std::move(one));
  choose_sides(set, options);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (sides.empty()) {
      add(shards[i]);
      continue;
    }
    SideFound& side =
        *std::find_if(set.sides.begin(), set.sides.end(), [&](const SideFound& one) { return one.side == *sides[i]; });
    if (side.use == SideUse::kLeftOut) continue;
    const std::size_t before = set.samples.size();
    add(shards[i]);
    side.images += set.samples.size() - before;
    set.validates.resize(set.samples.size(), side.use == SideUse::kValidates);
  }
  for (const SideFound& side : set.sides) {
    if (side.use != SideUse::kLeftOut) continue;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (*sides[i] != side.side) continue;
      leave_out_side(set, side, shards[i].name);
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
  const std::string kind = wrapped_kind(std::span(head).first(count));
  if (!kind.empty()) fail("[{}] {}: expected {}, found {}", area, file, expected, kind);
}

}  // namespace gcvit::data
