// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "train/checkpoint.h"
#include "train/prepare.h"

namespace gcvit::train {

/// Writes val.txt: the names of the validation photos, one per line, for `gcvit eval --list` and `--val-list`;
/// nothing where none does. Names that are no line, or that a photo to train on has too, are left out with a notice.
void write_validation_list(const std::string& path, const RunState& state, const Notice& notice);

}  // namespace gcvit::train
