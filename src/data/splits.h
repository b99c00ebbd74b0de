// SPDX-License-Identifier: Apache-2.0
// What the photos of a source are for: words in names of folders, shards and columns say it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::data {

enum class Side : std::uint8_t { kTrain, kValidation, kTest };

/// "train", "validation" or "test".
std::string_view name_of(Side side);

/// The side that a word names, in whatever case: train, training; val, valid, validation, eval, evaluation; test,
/// testing. Nothing for other words.
std::optional<Side> side_of_word(std::string_view word);

/// The side of each of the names of folders or shards that lie beside each other: the one that a whole word of the name
/// says, where words end at every character but letters and digits, and a run of digits is a word of its own
/// ("imagenet1k-train-0000.tar", "seg_train", "val2017"). Where one of the names says two sides, those that all of the
/// names say are the data set's name and don't count ("test-drive-train-0.tar"). Nothing for a name that says none, or
/// still two.
std::vector<std::optional<Side>> sides_of(std::span<const std::string> names);

/// What becomes of the photos of a side.
enum class SideUse : std::uint8_t {
  kTrains,
  kValidates,
  kTaken,  ///< it was asked for: the set is its photos alone
  kLeftOut
};

/// A side that a source has.
struct SideFound {
  std::string name;  ///< as the source has it: "Train", "val", "imagenet1k-validation-00.tar"
  Side side = Side::kTrain;
  SideUse use = SideUse::kTrains;
  std::size_t images = 0;  ///< 0 in shards that are left out, which nobody opens
  std::size_t shards = 0;  ///< that hold them; 0 for folders and lists
};

}  // namespace gcvit::data
