// SPDX-License-Identifier: Apache-2.0
// Which models a training checkpoint holds. Training code wraps a model in others (Lightning's module, DataParallel,
// torch.compile, an average of weights), each of which puts a word before all names of the model's tensors and may have
// tensors of its own beside them. The wrappers' names are anyone's; a GCViT's query generators are known by theirs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/raw_file.h"

namespace gcvit::weights {

/// The models among tensors of these names, in the order of their prefixes; at most `formats::kMostModels`. Keras' names are left
/// out: their models are found by their layers (keras_names.h). What an optimizer keeps of each tensor is no model.
std::vector<formats::WrappedModel> find_wrapped_models(std::span<const std::string_view> names);

/// Options for reading a weight file that may hold GCViTs beside other things; `averaged` as in `ReadOptions`.
formats::ReadOptions read_options(std::optional<bool> averaged = {});

/// Leaves the tensors of one model in `raw`, without its prefix, and `raw.averaged` saying which kind of weights it has:
/// the kind that is wanted if there is one, else the raw ones before averages. Returns the names of the tensors that belong
/// to no model. Notices and notes say what was chosen. Throws `Error` when the model could be any of several.
std::vector<std::string> unwrap(formats::RawFile& raw, std::optional<bool> averaged, const std::string& file);

/// What to do with averages that are a list.
inline constexpr std::string_view kNameThem = "copy them into the model and save its state_dict()";

/// Throws the `Error` that the file has no weights of the wanted kind, naming those that it has.
[[noreturn]] void fail_without(bool averaged, const formats::RawFile& raw, const std::string& file);

}  // namespace gcvit::weights
