// SPDX-License-Identifier: Apache-2.0
// Which of its sides a set takes.
#include <algorithm>
#include <string>
#include <string_view>

#include "data/sources.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

SideUse use_of(Side side, const OpenOptions& options) {
  if (options.side) return side == *options.side ? SideUse::kTaken : SideUse::kLeftOut;
  switch (side) {
    case Side::kTrain: return SideUse::kTrains;
    case Side::kValidation: return SideUse::kValidates;
    case Side::kTest: return options.test_validates ? SideUse::kValidates : SideUse::kLeftOut;
  }
  return SideUse::kLeftOut;
}

}  // namespace

void choose_sides(ImageSet& set, const OpenOptions& options) {
  std::string names;
  bool taken = false;
  for (SideFound& side : set.sides) {
    side.use = use_of(side.side, options);
    taken = taken || side.use != SideUse::kLeftOut;
    names += (names.empty() ? "" : ", ") + side.name;
  }
  if (options.side && !taken) {
    fail("[data] {}: expected photos of the {} side, found {}", set.root, name_of(*options.side),
         names.empty() ? "no sides" : "only " + names);
  }
  if (!set.sides.empty() && !taken) {
    fail(
        "[data] {}: expected photos to train or validate on, found only {}: those of a test side are taken with --side "
        "test",
        set.root, names);
  }
}

void leave_out_side(ImageSet& set, const SideFound& side, const std::string& example) {
  const bool shards = side.shards > 0;
  set.left_out.push_back({.reason = fmt::format("{} of the {} side", shards ? "shards" : "photos", name_of(side.side)),
                          .count = shards ? side.shards : side.images,
                          .example = example,
                          .is_side = true});
}

bool any_validates(const ImageSet& set) {
  return std::find(set.validates.begin(), set.validates.end(), true) != set.validates.end();
}

}  // namespace gcvit::data
