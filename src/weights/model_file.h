// SPDX-License-Identifier: Apache-2.0
// The self-describing model file: what a .safetensors file of ours says about its model in its metadata, each value
// JSON text: gcvit.format ("1"; "2" where weights are int8), gcvit.config, gcvit.classes, gcvit.preprocess, gcvit.source,
// gcvit.calibration, gcvit.quantization.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace gcvit::weights {

/// The newest format this program reads; it reads all older ones. Only a model with int8 weights needs to be written in it.
inline constexpr int kModelFormat = 2;

/// A file's format, its layout of names, and how its config was found.
struct ModelSource {
  std::string format;  ///< "safetensors"
  std::string layout;  ///< "canonical", "nvlabs", "timm"
  std::vector<std::string> inferred;  ///< why the config isn't just what the metadata says
  std::string file = {};  ///< that was read; empty when it came from memory
  std::string preprocess = {};  ///< where preprocess_json stands, when that is not the file's metadata
};

/// The file that a model was converted from (gcvit.source).
struct ModelOrigin {
  std::string format;
  std::string layout;
  std::string sha256;  ///< empty when unknown
  /// The relative position bias tables were rewritten as the Keras example reads them.
  bool keras_example_bias = false;
};

/// All about a model but its weights.
struct ModelInfo {
  model::GCViTConfig config;
  std::vector<std::string> classes;  ///< names in order; empty when there are none
  std::string preprocess_json;  ///< JSON object as gcvit.preprocess has it; empty when there is none
  ModelSource source;
  std::optional<ModelOrigin> origin;
  std::optional<double> temperature;  ///< fitted: probabilities are softmax(logits / temperature)
  std::string quantisation_json = {};  ///< JSON object as gcvit.quantization has it; empty when there is none
};

/// True when the metadata is a model file's of ours, of any version.
bool is_model_file(const std::map<std::string, std::string>& metadata);

/// Reads the metadata (all but `source`). Throws `Error` naming the key: a newer format, missing keys, JSON of another
/// type, values out of range, an invalid config, or a number of class names that isn't config.classes.
ModelInfo parse_model_info(const std::map<std::string, std::string>& metadata, const std::string& file);

/// The metadata that `parse_model_info` reads back as the same, for a file of that format.
std::map<std::string, std::string> serialise_model_info(const ModelInfo& info, int format = 1);

/// The JSON text of gcvit.config.
std::string serialise_config(const model::GCViTConfig& config);

}  // namespace gcvit::weights
