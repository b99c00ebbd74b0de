// SPDX-License-Identifier: Apache-2.0
// A model in several files beside an index that says which tensor lies where. Hugging Face's libraries write large ones so,
//   {"metadata": {...}, "weight_map": {"tensor name": "model-00001-of-00002.safetensors", ...}}
// and Keras 3, whose index names the layers' groups of variables, one of which may lie in several shards:
//   {"metadata": {...}, "weight_map": {"/layers/stem/proj/vars": ["x_00000.weights.h5"], ...}}
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "formats/raw_file.h"

namespace gcvit::formats {

inline constexpr const char* kShardIndexName = "model.safetensors.index.json";
inline constexpr const char* kKerasShardIndex = ".weights.json";  ///< the ending of a Keras index' name
/// Of an index; one with a thousand tensors has a tenth of a megabyte.
inline constexpr std::size_t kMaximalShardIndex = std::size_t{4} << 20;

/// Reads all shards that the index names, from the index's own folder only: a shard is a plain file name. (A link in
/// the folder is followed, as Hugging Face's cache is made of them.) The metadata are those of the first shard by name.
/// Throws `Error` naming the place when the index is broken, shards are missing or broken, a shard lacks a tensor that
/// the index gives it, or holds one that it doesn't.
RawFile read_sharded_safetensors(const std::string& index_path);

/// The same of the index that Keras' `save_weights("x.weights.json", max_shard_size=...)` writes.
RawFile read_sharded_keras(const std::string& index_path);

enum class ShardKind { kSafetensors, kKeras };

/// The index alone: shard and name of each tensor, or group of Keras' variables, sorted by both. `file` names it in errors.
std::vector<std::pair<std::string, std::string>> parse_shard_index(std::span<const std::byte> bytes,
                                                                   const std::string& file,
                                                                   ShardKind kind = ShardKind::kSafetensors);

}  // namespace gcvit::formats
