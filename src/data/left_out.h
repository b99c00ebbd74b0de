// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace gcvit::data {

/// Photos, files, rows or members of a source that the set leaves out.
struct LeftOut {
  std::string reason;  ///< follows a count: "files of other kinds", "photos beside the class folders"
  std::size_t count = 0;
  std::string example = {};  ///< the first one's name
  bool is_split = false;  ///< a whole split, which the set's splits list too
  /// For files of other kinds: the count of each extension.
  std::vector<std::pair<std::string, std::size_t>> endings = {};
};

/// "5 files of other kinds (.bmp 3, .gif 2), such as daisy/1.bmp".
std::string describe(const LeftOut& left_out);

/// Files that aren't photos, by their extensions ("" for none).
struct OtherFiles {
  std::size_t count = 0;
  std::string example;  ///< the first one's path
};

/// These as one entry, or no entry if there are none. `prefix` goes before the example; `what` is "files" or "members".
std::vector<LeftOut> other_kinds(const std::map<std::string, OtherFiles>& others, const std::string& prefix = "",
                                 const std::string& what = "files");

}  // namespace gcvit::data
