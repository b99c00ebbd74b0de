// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <string>

namespace gcvit::data {

/// How sources call the photos that train and those that validate.
struct Sides {
  std::string validation;  ///< "val", "validation", "valid" or "test": the first of these that is there
  std::set<std::string> others;  ///< the rest of them
};

/// The sides when `names` are "train", at least one of those and nothing else; else nothing.
std::optional<Sides> sides_among(const std::set<std::string>& names);

}  // namespace gcvit::data
