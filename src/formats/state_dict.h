// SPDX-License-Identifier: Apache-2.0
// From an unpickled object to tensors: which dict holds the weights, and what torch's calls in it mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pickle.h"
#include "formats/raw_file.h"

namespace gcvit::formats {

/// The elements that a torch storage class holds.
struct StorageType {
  std::string_view name;  ///< "FloatStorage"
  std::size_t element_size;
  std::optional<DType> dtype;  ///< none: not read as weights
};

/// A persistent id ("storage", type, key, location, elements[, view]).
struct StorageId {
  StorageType type;
  const PickleValue* key;  ///< a text
  std::int64_t elements = 0;
};

/// nullopt for a persistent id that is no storage, as old pickled models have them. Throws `Error` for a broken one.
std::optional<StorageId> read_storage_id(const PickleValue& persistent, const std::string& file);

/// Bytes of the storages by key.
using Storages = std::unordered_map<std::string_view, std::span<const std::byte>>;

/// The tensors of the state dict in `root`, and the note that tells which dict it was: see torch_file.h.
RawFile read_state_dict(const PickleValue& root, const Storages& storages, const std::shared_ptr<const void>& owner,
                        const std::string& file, const ReadOptions& options = {});

}  // namespace gcvit::formats
