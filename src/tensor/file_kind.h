// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace gcvit {

/// What a file is that lies where a photo, a list, a shard or a model was expected, by its first bytes, and what to do: "a Git LFS
/// pointer: fetch the real file (git lfs pull)", "gzip data: unpack it first (gunzip)". Empty for all other bytes.
std::string_view file_kind(std::span<const std::byte> head);

}  // namespace gcvit
