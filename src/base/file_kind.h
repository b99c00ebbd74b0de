// SPDX-License-Identifier: Apache-2.0
// What a file is that was expected to be something else. Downloads that went wrong leave pages, pointers and archives
// under the names of models and photos; an error that names them says what to do.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace gcvit {

/// So many first bytes tell a file's kind.
inline constexpr std::size_t kFileKindBytes = 512;

/// What begins with these bytes, for a sentence: "a JPEG image", "a Git LFS pointer (fetch the file itself with
/// `git lfs pull`)", "an HTML page", "JSON that begins {\"error\":"; "an empty file" for none. Empty when they tell nothing.
/// Text from the file is printable.
std::string file_kind(std::string_view head);
std::string file_kind(std::span<const std::byte> head);

/// The same, but only for what was downloaded or stored in place of the file: a Git LFS pointer, an HTML page, compressed data,
/// UTF-16 text. Empty for everything else.
std::string placeholder_or_packed_kind(std::string_view head);
std::string placeholder_or_packed_kind(std::span<const std::byte> head);

/// The same, "something else" where the bytes tell nothing.
std::string found_kind(std::string_view head);

}  // namespace gcvit
