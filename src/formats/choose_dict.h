// SPDX-License-Identifier: Apache-2.0
// Which dict of an unpickled object holds the weights. Training scripts save a state dict by itself, or in a dict with an
// average of it, an optimizer's state and whatever else a run needs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/pickle.h"
#include "formats/raw_file.h"

namespace gcvit::formats {

inline constexpr std::string_view kRebuildTensor =
    "_rebuild_";  ///< begins the names of torch's functions that make one

/// The call that rebuilds a tensor; nullptr when the value is no tensor at all.
const PickleValue* tensor_call(const PickleValue* value);

struct ChosenDict {
  const PickleValue* dict;
  std::string place;  ///< the keys that lead to it, for sentences; empty for the object itself
  bool averaged = false;  ///< the keys say that its weights are averages
  std::vector<StoredWeights> others;  ///< dicts that were not chosen
  std::string nameless = {};  ///< the keys that lead to a list of averaged tensors, as torch-ema saves them
};

/// The dict with the weights of the wanted kind, as torch_file.h says; where there are none of that kind, the one that would
/// be chosen without asking. Throws `Error` when there is none, or more than one that it could be.
ChosenDict choose_dict(const PickleValue& root, const ReadOptions& options, const std::string& file);

}  // namespace gcvit::formats
