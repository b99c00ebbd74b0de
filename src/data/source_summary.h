// SPDX-License-Identifier: Apache-2.0
// A summary of a source of photos, for messages and for the files of a run.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_set.h"
#include "data/partition.h"

namespace gcvit::data {

/// A class with its photos.
struct ClassSummary {
  std::string name;
  std::size_t images = 0;      ///< for training and validation
  std::size_t validation = 0;  ///< of these for validation
};

struct SourceSummary {
  std::string root;
  std::string kind;  ///< "class folders", "a list", "TFRecord shards", "WebDataset shards"
  std::size_t images = 0;
  std::size_t train = 0;       ///< without a partition: all that aren't for validation
  std::size_t validation = 0;
  std::vector<ClassSummary> classes;  ///< those of the source, in order
  std::vector<FoundSplit> splits;
  std::vector<LeftOut> left_out;
  bool read = false;  ///< the photos were read to divide them, so that the next three are known
  LeftOut identical;     ///< photos that are byte-identical to an earlier one; they stay in the set
  LeftOut contradictory;  ///< those of them that have another class than the earlier one
  LeftOut unreadable;
};

/// Describes `set`, with the training and validation photos of `partition` when one is given.
SourceSummary summarise(const ImageSet& set, const Partition* partition = nullptr);

/// "class folders", ...
std::string_view name_of(SourceKind kind);
/// "trains", "validates", "taken", "left out".
std::string_view name_of(SplitUse use);

/// A few lines of text: classes with counts, splits with counts, what was left out. Without a prefix or line ends.
std::vector<std::string> describe(const SourceSummary& found);

}  // namespace gcvit::data
