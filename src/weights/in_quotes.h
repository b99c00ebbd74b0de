// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gcvit::weights {

/// Text from a file as an error sentence may show it: in quotes, made printable, the quotes and backslashes in it as
/// "\x22" and "\x5c", the middle of a long one left out.
std::string in_quotes(std::string_view text);

/// "1 tensor", "2 tensors". `plural` for nouns that take more than an s.
std::string counted(std::uint64_t count, std::string_view noun, std::string_view plural = {});

/// An error's sentence without the "[area] " before it, for an error that names its own area and the file.
std::string_view without_area(std::string_view sentence);

}  // namespace gcvit::weights
