// SPDX-License-Identifier: Apache-2.0
// The way back: a loaded model as another project's weight file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weights/keras_names.h"
#include "weights/load.h"
#include "weights/names.h"

namespace gcvit::weights {

enum class FileFormat : std::uint8_t {
  kSafetensors,
  kPyTorch,  ///< what torch.save writes
  kKeras,    ///< Keras 3's .weights.h5
};

/// By a file's ending: .safetensors; .pth, .pt, .bin, .pth.tar; .weights.h5. Throws `Error` naming those for another.
FileFormat format_of(const std::string& path);

/// The layout that is written when none is asked for: ours, NVlabs', Keras'.
Layout default_layout(FileFormat format);

struct ConvertOptions {
  std::optional<Layout> layout;  ///< else the format's default
  /// kF32, kF16 or kBF16; else that of the file, where all floats have the same narrow one, or kF32. What was loaded with
  /// `keep_types` keeps its own in canonical files.
  std::optional<DType> dtype;
  /// Whose class names a Keras file is to have: Keras finds a layer's weights by them.
  KerasFlavour keras_flavour = KerasFlavour::kExample;
};

/// Says in the model which file it was made from, a regular one by its SHA-256 too; one of ours already knows.
void record_origin(ModelInfo& info, const std::string& file);

struct ConvertReport {
  Layout layout;
  std::vector<DType> dtypes;  ///< what the tensors were written as
  std::vector<std::string> left_behind;  ///< what OUT can't hold or its readers see otherwise, a sentence each
};

/// Writes a model whole or not at all. Canonical files hold all that is known about it; others its weights alone, under
/// the names, shapes and buffers that the layout's own code loads strictly: equal bits come back. A .safetensors file in Keras' layout
/// has the datasets of its .weights.h5 by their paths, for programs that write such a file themselves. Throws `Error` when
/// format and layout don't go together, or when the layout's code has no such model, saying why.
ConvertReport convert(const LoadedModel& loaded, const std::string& path, const ConvertOptions& options = {});

}  // namespace gcvit::weights
