// SPDX-License-Identifier: Apache-2.0
// How Keras files name GCViT's tensors. Names follow from where an attribute was first met and from class names, so they
// mean something only beside each other; tensors are found by role (qkv, mlp, to_q_global: attributes that all
// implementations share) and by position among equals, never by the name of a class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/raw_file.h"

namespace gcvit::weights {

struct Canonical;

/// Whose class names a Keras 3 file has.
enum class KerasFlavour : std::uint8_t {
  kExample,  ///< the Keras example: layers/patch_embed, layers/level_1/blocks/block
  kGcvitTf,  ///< gcvit-tf 1.1.6 under Keras 3: layers/stem, layers/gc_vi_t_level_1/blocks/gc_vi_t_block
};

/// "block_2" is {"block", 2}, "block" {"block", 0}: how Keras tells members of a list apart.
std::pair<std::string_view, int> stem_and_number(std::string_view name);

/// True for a name as Keras 3 (".../vars/0") or tf.keras (".../kernel:0") writes it.
bool is_keras_name(std::string_view name);

/// Canonical names and PyTorch's shapes for the tensors of a Keras 3 file (.weights.h5, .keras) or of a tf.keras .h5;
/// kernels are copied, the rest stays as it is. Optimizer, metrics and random states are left out; other tensors
/// without a role are `unexpected`.
Canonical keras_to_canonical(std::vector<formats::NamedTensor> tensors);

/// Where Keras 3 stores the tensor with this canonical name: "layers/level_1/blocks/block/attn/vars/0". Throws `Error`
/// for a name that GCViT doesn't have.
std::string keras_path(std::string_view canonical, KerasFlavour flavour = KerasFlavour::kExample);

/// Whether a Keras file's class names are the example's; gcvit-tf calls the stem, for one, otherwise.
bool has_example_names(std::span<const formats::NamedTensor> tensors);

/// Whether Keras 3 saved a whole model as .h5, which names layers as the example and gcvit-tf both do.
bool is_whole_keras3_model(std::span<const formats::NamedTensor> tensors);

/// The way back: the tensor under its Keras 3 path, f32, in Keras' shape.
formats::NamedTensor to_keras(const formats::NamedTensor& canonical, KerasFlavour flavour = KerasFlavour::kExample);

}  // namespace gcvit::weights
