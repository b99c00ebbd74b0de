// SPDX-License-Identifier: Apache-2.0
// From a file to a model and back: reader -> raw named tensors -> canonical names -> config -> parameters.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/gcvit.h"
#include "model/image_size.h"
#include "weights/infer_config.h"
#include "weights/match_parameters.h"
#include "weights/model_file.h"
#include "weights/parameter_values.h"
#include "formats/raw_file.h"

namespace gcvit::weights {

struct LoadOptions {
  /// The size of images. Where the file says or its tensors tell another, the model is changed to this one by
  /// `window_mode`; where they leave it open, it is the model's own.
  std::optional<ImageSize> image_size = {};
  model::WindowMode window_mode = model::WindowMode::kExact;
  /// Load with a head of this many classes: when the file's head has another size, or there is none, a new one is
  /// initialised and the report says so. Without it the head comes from the file.
  std::optional<std::int32_t> classes = {};
  /// Of the new head's random values.
  std::uint64_t seed = 0;
  /// For weights that were tuned with the Keras example, which takes the bias of all heads from the flattened table:
  /// rewrites the tables so that the model computes the same. For inference; ModelInfo::origin records it.
  bool keras_example_bias = false;
  /// Of a training checkpoint that holds both: the averaged weights (EMA, SWA) or the raw ones. Without it
  /// those of the first usual key that has a GCViT's (torch_file.h), else raw ones before averaged ones. Asking for
  /// what the file hasn't is an error that names what it has.
  std::optional<bool> averaged = {};
  /// Bytes that the parameters may take as f32, 0 for `default_memory_limit()`. A new head and tables at another size
  /// of images are in no file, so they are held against this before they are made.
  std::uint64_t max_memory = 0;
  /// Called with the model, whose parameters have no values yet, when the file's tensors fit it: what it throws ends
  /// loading before anything of size is made.
  std::function<void(const model::GCViT&)> before_values = {};
  /// For who asks for shapes alone: a new head and tables at another size of images get no values.
  bool shapes_only = false;
  /// No parameter gets values: `LoadedModel::values` gives them, one at a time.
  bool values_later = false;
  /// Parameters keep the file's types, as `ParameterValues::typed` gives them; else all are f32, and where i8 ones were restored a
  /// notice says so.
  bool keep_types = false;
};

struct LoadedModel {
  ModelInfo info;
  std::unique_ptr<model::GCViT> model;
  LoadReport report;
  std::unique_ptr<ParameterValues> values;  ///< with `values_later`; else null
};

/// Loads a model with all parameters as f32; f32 ones view the mapped file. Throws `Error` when the file can't be
/// read, is no GCViT, lacks tensors or has them in other shapes (but for a new head that was asked for), or holds a
/// value that is not finite.
LoadedModel load_model(const std::string& path, const LoadOptions& options = {});

/// The same from a file already read; `file` names it in errors.
LoadedModel load_model(formats::RawFile raw, const std::string& file, const LoadOptions& options = {});

/// The parameters rounded to `dtype`, kF32, kF16 or kBF16, under canonical names; i8 ones restored. Throws `Error`, which names
/// the file `path` that they are for, when a parameter has no values or one doesn't fit the dtype.
std::vector<formats::NamedTensor> tensors_of(const model::GCViT& model, DType dtype, const std::string& path);

/// Writes the self-describing file. f32 parameters are rounded to `dtype`, kF32, kF16 or kBF16; others are written as they are,
/// i8 ones with their scales. Throws `Error` when a parameter has no values or one doesn't fit the dtype.
void save_model(const std::string& path, const model::GCViT& model, const ModelInfo& info, DType dtype = DType::kF32);

}  // namespace gcvit::weights
