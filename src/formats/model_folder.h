// SPDX-License-Identifier: Apache-2.0
// Which file a person means who names a folder as a model, and what may stand beside a file.
#pragma once

#include <string>
#include <vector>

namespace gcvit::formats {

struct ModelPlace {
  std::string file;    ///< to be read
  std::string config;  ///< a config.json beside it; empty when there is none
  bool folder = false;  ///< the path was a folder's
  std::vector<std::string> notices = {};
};

/// For a path that is no folder the path itself. Of a folder the first of these that is there: model.safetensors.index.json,
/// model.safetensors, pytorch_model.bin or model.weights.h5, as the libraries of timm, Hugging Face and Keras write them;
/// best.safetensors or last.safetensors of one of our runs; the only .weights.json. Throws `Error` naming what is there
/// instead.
ModelPlace find_model_file(const std::string& path);

}  // namespace gcvit::formats
