// SPDX-License-Identifier: Apache-2.0
// The config.json that timm and Hugging Face's libraries write beside a model: how its photos are prepared, what its
// classes are called.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/image_size.h"

namespace gcvit::weights {

inline constexpr std::uint64_t kMaximalTimmConfig = std::uint64_t{8} << 20;

struct TimmConfig {
  std::string architecture;                     ///< "gcvit_xxtiny"
  std::optional<std::int32_t> classes;          ///< of the head
  std::vector<std::string> class_names;         ///< in order; empty when there are none
  std::string names_key;                        ///< where they stand, "id2label"
  std::optional<std::int32_t> first_name;       ///< the lowest number, where they are numbered
  std::optional<model::ImageSize> image_size;   ///< photos are prepared for
  std::optional<std::int32_t> dim;              ///< where its arguments differ from the architecture's
  bool has_arguments = false;  ///< for the model, so that it may be another than its architecture says
  std::string preprocess_json;  ///< as gcvit.preprocess has it
};

/// What a config.json says; nullopt when it isn't about a timm model. Old configs have at the top what newer ones keep in
/// `pretrained_cfg`. Throws `Error` naming the place when the model is no GCViT, would compute something else than a GCViT
/// here (another pooling or activation), or the text is broken. `file` names it in errors.
std::optional<TimmConfig> parse_timm_config(std::string_view text, const std::string& file);

/// True when a model with this configuration can be the one that the config is about: it has its classes and image size, and
/// where the architecture is a published one its width.
bool fits(const TimmConfig& config, const model::GCViTConfig& model);

}  // namespace gcvit::weights
