// SPDX-License-Identifier: Apache-2.0
// multipart/form-data (RFC 7578), as browsers and `curl -F` send files.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::serve {

inline constexpr std::size_t kMostParts = 64;

struct Part {
  std::string name;
  std::string file_name;               ///< empty where the part isn't a file
  std::span<const std::byte> content;  ///< inside the body
};

/// Whether a Content-Type is that of a form with parts.
bool is_multipart(std::string_view content_type);

/// The parts of `body`, at most `kMostParts`. Throws `Refusal` 400 where the Content-Type has no boundary or the body isn't made of whole
/// parts with a name each.
std::vector<Part> parse_multipart(std::string_view content_type, std::span<const std::byte> body);

}  // namespace gcvit::serve
