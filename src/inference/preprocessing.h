// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "gcvit/session.h"
#include "image/preprocess.h"
#include "weights/model_file.h"

namespace gcvit::inference {

/// How photos become a model's input. `preset` is a preset's name, or "auto": as the file's metadata says; without
/// metadata by where the weights come from (Keras -> keras, timm's names -> timm, NVlabs' names -> nvlabs, else timm).
/// Throws `Error` on another name or metadata that can't be followed; `file` names the model in it.
image::PreprocessConfig preprocessing_of(const weights::ModelInfo& info, std::string_view preset,
                                         std::string_view file);

/// The same of a choice of the API.
image::PreprocessConfig preprocessing_of(const weights::ModelInfo& info, Preset preset, std::string_view file);

/// The preset of that name; throws `Error` listing them.
image::Preset parse_preset(std::string_view name);

/// The value of gcvit.preprocess that says this: the preset and its numbers.
std::string to_json(const image::PreprocessConfig& config);

}  // namespace gcvit::inference
