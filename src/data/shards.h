// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "data/sources.h"

namespace gcvit::data {

/// Calls `add` for each shard that `options` select: by split when all names have one, else all shards. With `whole`, splits
/// in names are ignored unless `options` select one. Throws `Error` when some names have a split other than train and
/// others have none.
void add_shards(ImageSet& set, std::span<const Shard> shards, bool whole, const OpenOptions& options,
                const std::function<void(const Shard&)>& add);

/// Throws "[area] file: expected ..., found ..." when the file is empty or begins like a file of another kind; `area` and
/// `expected` go into the message.
void check_shard(const std::string& file, std::string_view area, std::string_view expected);

}  // namespace gcvit::data
