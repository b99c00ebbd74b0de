// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "train/checkpoint.h"
#include "train/prepare.h"

namespace gcvit::train {

/// Writes val.txt: the names of the photos that validate, a line each, as `gcvit eval --list` and `--val-list` take them;
/// nothing where none does. Names that are no line, or that a photo to train on has too, are left out with a notice.
void write_validation_list(const std::string& path, const RunState& state, const Notice& notice);

}  // namespace gcvit::train
