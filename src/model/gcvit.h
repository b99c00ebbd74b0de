// SPDX-License-Identifier: Apache-2.0
//   logits = head(mean(LN(levels(PatchEmbed(image)))))
// H x W x 3 -> classes. Global Context Vision Transformers, Hatamizadeh et al., ICML 2023 (figure 2); NVlabs `GCViT`,
// timm `GlobalContextVit`, Keras example `GCViT` (whose head ends in a softmax; ours returns logits).
#pragma once

#include <span>
#include <vector>

#include "model/config.h"
#include "model/level.h"
#include "model/parameters.h"
#include "model/patch_embed.h"
#include "ops/backend.h"

namespace gcvit::model {

/// The model: its parameters and how they act on an image. Every use of it (classifying, training, counting,
/// exporting) is this one `forward` under another backend.
class GCViT {
 public:
  /// Throws `Error` when the config is not valid. Parameters have names, shapes and ids, no values yet.
  explicit GCViT(const GCViTConfig& config);
  GCViT(const GCViT&) = delete;
  GCViT& operator=(const GCViT&) = delete;

  /// `image`: H x W x 3 of the config's size (else throws `Error`), normalised. Returns the logits, 1 x 1 x classes. Taps: "level1".."level4", "features" (the
  /// last map behind the final norm), "pooled" (its mean), "logits".
  ops::Value forward(ops::Backend& backend, const ops::Value& image) const;

  const GCViTConfig& config() const { return config_; }
  /// All parameters in a fixed order, ids 0, 1, 2, ...
  std::span<Parameter* const> parameters() { return table_; }
  std::span<const Parameter* const> parameters() const { return {table_.data(), table_.size()}; }
  /// The sum of all parameters' sizes.
  std::int64_t parameter_count() const;

 private:
  GCViTConfig config_;
  PatchEmbed patch_embed_;
  std::vector<Level> levels_;
  ops::LayerNorm norm_;
  ops::Linear head_;
  std::vector<Parameter*> table_;
};

}  // namespace gcvit::model
