// SPDX-License-Identifier: Apache-2.0
// The target of a request line: "/v2/models/flowers/infer", "/v1/classify?top_k=3".
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::serve {

inline constexpr std::size_t kLongestTarget = 2048;

struct Target {
  std::vector<std::string> path;             ///< its segments, decoded; "/" has none
  std::map<std::string, std::string> query;  ///< decoded
};

/// "host:80" of an absolute URL "http://host:80/path", which counts before the field Host; nothing for a target that begins with its path.
std::optional<std::string_view> authority_of(std::string_view target);

/// Reads a path with its query, or an absolute URL of this server ("http://host/path"). Throws `Refusal`: 414 for one that is too long,
/// 400 for one with broken percent escapes, control characters or a parameter that appears twice.
Target parse_target(std::string_view text);

}  // namespace gcvit::serve
