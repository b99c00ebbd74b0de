// SPDX-License-Identifier: Apache-2.0
// Photos and a model, made when the tests run.
#pragma once

#include <string>
#include <vector>

#include "tests/image/blob_pictures.h"
#include "tests/native/test_model.h"
#include "weights/load.h"

namespace gcvit::testing {

/// Writes a model of tiny_config() with alive random weights: 64x64, 7 classes.
inline void write_tiny_model(const std::string& path, std::vector<std::string> classes = {}, unsigned seed = 5) {
  model::GCViT model(tiny_config());
  fill_alive(model, seed);
  weights::ModelInfo info;
  info.config = model.config();
  info.classes = std::move(classes);
  weights::save_model(path, model, info);
}

inline const std::vector<std::string>& colour_names() {
  static const std::vector<std::string> kNames = {"red", "Dark_Orange", "yellow", "green", "blue", "indigo", "violet"};
  return kNames;
}

}  // namespace gcvit::testing
