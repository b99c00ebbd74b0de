// SPDX-License-Identifier: Apache-2.0
// How frameworks name GCViT's tensors, and the way to canonical names (NVlabs', the names model::GCViT gives its
// parameters) and back. Only rules stand here; the list of tensors is the model's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/raw_file.h"

namespace gcvit::weights {

enum class Layout : std::uint8_t {
  kCanonical,  ///< our own files: NVlabs' names, without index buffers
  kNvlabs,     ///< NVlabs' state_dict
  kTimm,       ///< timm's state_dict
  kJax,        ///< a flattened JAX pytree: canonical names with JAX' leaves and kernels, or flaim's module names
  kKeras,      ///< a Keras 3 or tf.keras file: keras_names.h
};

/// "canonical", "nvlabs", "timm", "jax", "keras".
std::string_view name_of(Layout layout);

/// The layout that most names belong to; nullopt when none looks like GCViT. NVlabs' names give kNvlabs: only a
/// file's metadata can say that it is canonical.
std::optional<Layout> detect_layout(const std::vector<formats::NamedTensor>& tensors);

/// The canonical name of a tensor that `layout` calls `name`; nullopt when the layout has no such name. Not for kKeras,
/// whose names mean something only beside each other.
std::optional<std::string> canonical_name(Layout layout, std::string_view name);

/// What `layout` calls the tensor with this canonical name.
std::string layout_name(Layout layout, std::string_view canonical);

/// True for buffers that carry no weights (NVlabs' relative_position_index, flaim's rel_pos_ind): readers skip them.
bool is_index_buffer(std::string_view name);

/// Removes the wrappers `module.`, `_orig_mod.` and `model.` as long as all names have one of them in front.
void strip_wrapper_prefixes(std::vector<formats::NamedTensor>& tensors);

/// Tensors under canonical names, and what had none.
struct Canonical {
  std::vector<formats::NamedTensor> tensors;
  std::vector<std::string> unexpected;  ///< names the layout doesn't know, as the file has them
  std::string place;  ///< the group of a Keras file that the model is in, "layers/gc_vi_t/"; empty for the file itself
};

/// Renames, reshapes where a layout stores another rank (timm's squeeze-and-excitation layers are 1x1 convolutions),
/// reorders the axes of kernels that JAX and Keras keep as [..., in, out], and drops index buffers.
Canonical to_canonical(Layout layout, std::vector<formats::NamedTensor> tensors);

/// The way back: a canonical tensor under `layout`'s name and shape.
formats::NamedTensor to_layout(Layout layout, const formats::NamedTensor& canonical);

}  // namespace gcvit::weights
