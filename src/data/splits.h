// SPDX-License-Identifier: Apache-2.0
// The splits of a data set (train, validation, test), recognised by words in the names of folders, shards and columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::data {

enum class Split : std::uint8_t { kTrain, kValidation, kTest };

/// "train", "validation" or "test".
std::string_view name_of(Split split);

/// The split that a word names, in any case: train, training; val, valid, validation, eval, evaluation; test, testing.
/// Nothing for other words.
std::optional<Split> split_of_word(std::string_view word);

/// The split of each of the names of sibling folders or shards: the one that a whole word of the name names. Words end at
/// every character but letters and digits, and a run of digits is a word of its own ("imagenet1k-train-0000.tar",
/// "seg_train", "val2017"). When one of the names has words for two splits, words that all names have are taken as part of
/// the data set's name and don't count ("test-drive-train-0.tar"). Nothing for a name that has no such word, or still two.
std::vector<std::optional<Split>> splits_of(std::span<const std::string> names);

/// What the photos of a split are used for.
enum class SplitUse : std::uint8_t {
  kTrains,
  kValidates,
  kTaken,  ///< it was selected: the set has only its photos
  kLeftOut
};

/// A split found in a source.
struct FoundSplit {
  std::string name;  ///< as the source has it: "Train", "val", "imagenet1k-validation-00.tar"
  Split split = Split::kTrain;
  SplitUse use = SplitUse::kTrains;
  std::size_t images = 0;  ///< 0 for shards that are left out, as they are not opened
  std::size_t shards = 0;  ///< number of shards that hold them; 0 for folders and lists
};

}  // namespace gcvit::data
