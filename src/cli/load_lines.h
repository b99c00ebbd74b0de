// SPDX-License-Identifier: Apache-2.0
// The lines of Python that load a file which was written for another project.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/config.h"

namespace gcvit::cli {

/// A model of timm's registry and what it must be told to have a configuration.
struct TimmModel {
  std::string architecture;                                    ///< "gcvit_xxtiny"
  std::vector<std::pair<std::string, std::string>>
      arguments;  ///< as Python and JSON both spell them; without num_classes
};
/// Nothing when no registered model can have the configuration: depths and heads can't be overridden, nor the width, MLP
/// ratio and layer scale of small and base.
std::optional<TimmModel> timm_model(const model::GCViTConfig& config);

using Lines = std::vector<std::string>;
Lines lines_for_timm(const model::GCViTConfig& config, const std::string& file);
Lines lines_for_timm_folder(const std::string& folder);
Lines lines_for_nvlabs(const model::GCViTConfig& config, const std::string& file);
/// Of the Keras example's model, or of gcvit-tf's.
Lines lines_for_keras(const model::GCViTConfig& config, const std::string& file, bool gcvit_tf);
Lines lines_for_onnxruntime(const model::GCViTConfig& config, const std::string& file);

/// Prints the lines on stderr, below a sentence that says what loads the file.
void tell_how_to_load(std::string_view loader, const Lines& lines) noexcept;

}  // namespace gcvit::cli
