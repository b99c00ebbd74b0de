// SPDX-License-Identifier: Apache-2.0
// What was found in a source of photos, for people and for files that keep it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_set.h"
#include "data/split.h"

namespace gcvit::data {

/// A class with its photos.
struct ClassFound {
  std::string name;
  std::size_t images = 0;      ///< of both sides
  std::size_t validation = 0;  ///< of which validate
};

struct Found {
  std::string root;
  std::string kind;  ///< "class folders", "a list", "TFRecord shards", "WebDataset shards"
  std::size_t images = 0;
  std::size_t train = 0;       ///< without a split: all that don't validate
  std::size_t validation = 0;
  std::vector<ClassFound> classes;  ///< those of the source, in order
  std::vector<SideFound> sides;
  std::vector<LeftOut> left_out;
  bool read = false;  ///< the photos were read to split them, so that the next three are known
  LeftOut identical;     ///< photos that are byte for byte an earlier one; they stay in the set
  LeftOut contradictory;  ///< those of them whose class is another than the earlier one's
  LeftOut unreadable;
};

/// What `set` is; with the sides of `split`, unless there is none.
Found found_in(const ImageSet& set, const Split* split = nullptr);

/// "class folders", ...
std::string_view name_of(SourceKind kind);
/// "trains", "validates", "taken", "left out".
std::string_view name_of(SideUse use);

/// The few lines for people: classes with counts, sides with counts, what was left out. Neither a prefix nor an end of
/// the line.
std::vector<std::string> describe(const Found& found);

}  // namespace gcvit::data
