// SPDX-License-Identifier: Apache-2.0
#include "data/shards.h"

#include <set>

#include "data/sides.h"
#include "tensor/error.h"

namespace gcvit::data {

void add_shards(PhotoSet& set, const std::vector<Shard>& shards, const std::function<void(const Shard&)>& add) {
  std::set<std::string> names;
  for (const Shard& shard : shards) names.insert(shard.side);
  const std::optional<Sides> sides = sides_among(names);
  for (const Shard& shard : shards) {
    if (sides && sides->others.contains(shard.side)) continue;
    add(shard);
    if (sides) set.validates.resize(set.samples.size(), shard.side == sides->validation);
  }
  if (!sides) return;
  if (sides->validation == "test") {
    set.notices.push_back(fmt::format("{}: there is no other side: the photos of test validate", set.root));
  }
  for (const std::string& other : sides->others) {
    set.notices.push_back(fmt::format("{}: the photos of {} are left out", set.root, other));
  }
}

}  // namespace gcvit::data
