// SPDX-License-Identifier: Apache-2.0
// Which of its splits a set takes.
#include <algorithm>
#include <string>
#include <string_view>

#include "data/sources.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

SplitUse use_of(Split split, const OpenOptions& options) {
  if (options.split) return split == *options.split ? SplitUse::kTaken : SplitUse::kLeftOut;
  switch (split) {
    case Split::kTrain: return SplitUse::kTrains;
    case Split::kValidation: return SplitUse::kValidates;
    case Split::kTest: return options.test_validates ? SplitUse::kValidates : SplitUse::kLeftOut;
  }
  return SplitUse::kLeftOut;
}

}  // namespace

void choose_splits(ImageSet& set, const OpenOptions& options) {
  std::string names;
  bool taken = false;
  for (FoundSplit& split : set.splits) {
    split.use = use_of(split.split, options);
    taken = taken || split.use != SplitUse::kLeftOut;
    names += (names.empty() ? "" : ", ") + split.name;
  }
  if (options.split && !taken) {
    fail("[data] {}: expected photos of the {} split, found {}", set.root, name_of(*options.split),
         names.empty() ? "no splits" : "only " + names);
  }
  if (!set.splits.empty() && !taken) {
    fail(
        "[data] {}: expected photos to train or validate on, found only {}: those of a test split are taken with "
        "--side "
        "test",
        set.root, names);
  }
}

void leave_out_split(ImageSet& set, const FoundSplit& split, const std::string& example) {
  const bool shards = split.shards > 0;
  set.left_out.push_back(
      {.reason = fmt::format("{} of the {} split", shards ? "shards" : "photos", name_of(split.split)),
       .count = shards ? split.shards : split.images,
       .example = example,
       .is_split = true});
}

bool any_validates(const ImageSet& set) {
  return std::find(set.validates.begin(), set.validates.end(), true) != set.validates.end();
}

}  // namespace gcvit::data
