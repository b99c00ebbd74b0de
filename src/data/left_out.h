// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace gcvit::data {

/// Photos, files, rows or members that a source has and the set has not.
struct LeftOut {
  std::string reason;  ///< behind a count: "files of other kinds", "photos beside the class folders"
  std::size_t count = 0;
  std::string example = {};  ///< the first one's name
  bool is_side = false;  ///< all of a side, which the set's sides have too
  /// Of files of other kinds: each ending with its count, by ending.
  std::vector<std::pair<std::string, std::size_t>> endings = {};
};

/// "5 files of other kinds (.bmp 3, .gif 2), such as daisy/1.bmp".
std::string describe(const LeftOut& left_out);

/// Files by their endings, "" for none, that are no photos.
struct OtherFiles {
  std::size_t count = 0;
  std::string example;  ///< the first one's path
};

/// Those, as one entry; none for none. `prefix` goes before the example, `what` are "files" or "members".
std::vector<LeftOut> other_kinds(const std::map<std::string, OtherFiles>& others, const std::string& prefix = "",
                                 const std::string& what = "files");

}  // namespace gcvit::data
