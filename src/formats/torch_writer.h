// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "formats/raw_file.h"

namespace gcvit::formats {

/// Writes tensors as torch.save writes an OrderedDict of them (ZIP container, protocol 2, one storage each, 64-byte
/// aligned), for torch.load(weights_only=True) and load_state_dict. In the order given; the same tensors give the same
/// bytes; whole or not at all. Throws `Error` on doubled names and beyond 4 GB, where the plain ZIP ends.
void write_torch(const std::string& path, std::span<const NamedTensor> tensors);

}  // namespace gcvit::formats
