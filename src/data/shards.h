// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "data/sources.h"

namespace gcvit::data {

/// Adds the photos of each shard to `set` by `add`: of those whose side `options` take, where the names of all say one,
/// else of all. `whole`: the names' sides don't matter unless `options` ask for one. Throws `Error` when some names say
/// a side that isn't for training and others say none.
void add_shards(ImageSet& set, std::span<const Shard> shards, bool whole, const OpenOptions& options,
                const std::function<void(const Shard&)>& add);

/// Throws "[area] file: expected ..., found ..." when the file is empty or begins as one of another kind does: `area`
/// and `expected` say what it should be.
void check_shard(const std::string& file, std::string_view area, std::string_view expected);

}  // namespace gcvit::data
