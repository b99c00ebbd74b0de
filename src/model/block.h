// SPDX-License-Identifier: Apache-2.0
//   x = x + drop_path(gamma1 * attention(LN(x)))
//   x = x + drop_path(gamma2 * mlp(LN(x)))        gammas only with layer scale
// H x W x C -> H x W x C. Even blocks of a level attend locally, odd ones to the global query. Paper: figure 3; NVlabs
// `GCViTBlock`, timm `GlobalContextVitBlock`.
#pragma once

#include <optional>

#include "model/mlp.h"
#include "model/parameters.h"
#include "model/window_attention.h"
#include "ops/backend.h"

namespace gcvit::model {

class Block {
 public:
  struct Attributes {
    std::int32_t channels;
    std::int32_t heads;
    std::int32_t hidden;
    ops::Window window;
    WindowAttention::Query query;
    bool layer_scale;
    float drop_path;
  };

  explicit Block(const Attributes& attributes);
  ops::Value forward(ops::Backend& backend, const ops::Value& x, const ops::Value& global_query) const;
  void visit(const Visitor& visitor);

 private:
  ops::LayerNorm norm1_;
  WindowAttention attn_;
  std::optional<Parameter> gamma1_;
  ops::LayerNorm norm2_;
  Mlp mlp_;
  std::optional<Parameter> gamma2_;
  float drop_path_;
};

}  // namespace gcvit::model
