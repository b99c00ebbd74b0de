// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/photo_set.h"

namespace gcvit::data {

/// A file that holds many photos.
struct Shard {
  std::string file;
  std::string name;  ///< without folders
  std::string side;  ///< "train", "validation", ...; empty if its name says nothing
};

/// Adds the photos of each shard to `set` by `add`, and where all shards have sides, marks which validate; shards of a
/// third side are left out with a notice.
void add_shards(PhotoSet& set, const std::vector<Shard>& shards, const std::function<void(const Shard&)>& add);

}  // namespace gcvit::data
