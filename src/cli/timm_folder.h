// SPDX-License-Identifier: Apache-2.0
// A folder that timm.create_model("local-dir:FOLDER", pretrained=True) takes: config.json and model.safetensors.
#pragma once

#include <string>

#include "image/preprocess.h"
#include "weights/convert.h"

namespace gcvit::cli {

/// True when a path to write is meant as a folder: it is one, ends in / or has no ending.
bool is_folder_name(const std::string& path);

/// Writes the folder, which must be new or empty; none of its files stays when one fails. Class names and preprocessing
/// go into config.json, and `left_behind` says where timm's differs. Throws `Error` when timm has no registered model that
/// can be told to be this one, and as `weights::convert` does.
weights::ConvertReport write_timm_folder(weights::LoadedModel& loaded, const image::PreprocessConfig& preprocess,
                                         const std::string& folder, weights::ConvertOptions options);

}  // namespace gcvit::cli
