// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gcvit::formats {

/// Text from a file as an error sentence may show it: in quotes, made printable, the quotes and backslashes in it as
/// "\x22" and "\x5c", the middle of a long one left out.
std::string in_quotes(std::string_view text);

/// An error's sentence without the "[area] " before it, for an error that names its own area and the file.
std::string_view without_area(std::string_view sentence);

}  // namespace gcvit::formats
