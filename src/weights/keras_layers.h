// SPDX-License-Identifier: Apache-2.0
// A Keras model may have a GCViT as one of its layers, as Sequential([Rescaling(1 / 255), GCViT(...)]). The other layers are
// not computed here, so a person must hear of them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gcvit::weights {

/// The sentence, without the file's name, that names the layers which stand before the model; where only their groups in
/// the file are known, and so no order, those beside it. Empty when there is none but such as change nothing once a model
/// is trained. `groups`: paths in the file; `config`: JSON of the whole model as a .keras archive and Keras 3's .h5 have
/// it, or nothing, which may be broken; `model`: the group of the GCViT with a / behind, "layers/gc_vi_t/", empty for one
/// that is the whole file.
std::string notice_of_other_layers(std::span<const std::string> groups, std::string_view config,
                                   std::string_view model);

}  // namespace gcvit::weights
