// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "weights/keras_names.h"
#include "formats/raw_file.h"

namespace gcvit::weights {

/// Writes a Keras 3 .weights.h5 that `model.load_weights` of a GCViT of this configuration takes (Keras looks every
/// layer up by its path). `tensors` have canonical names; values are written as f32, and the same tensors give the
/// same bytes. Whole or not at all; throws `Error` when that fails or a name is none of GCViT's.
void write_keras(const std::string& path, std::span<const formats::NamedTensor> tensors,
                 KerasFlavour flavour = KerasFlavour::kExample);

}  // namespace gcvit::weights
