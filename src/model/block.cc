// SPDX-License-Identifier: Apache-2.0
#include "model/block.h"

namespace gcvit::model {

Block::Block(const Attributes& attributes)
    : norm1_(make_layer_norm(attributes.channels)),
      attn_(attributes.channels, attributes.heads, attributes.window, attributes.query),
      norm2_(make_layer_norm(attributes.channels)),
      mlp_(attributes.channels, attributes.hidden),
      drop_path_(attributes.drop_path) {
  if (attributes.layer_scale) {
    gamma1_ = Parameter(ops::Role::kLayerScale, {attributes.channels});
    gamma2_ = Parameter(ops::Role::kLayerScale, {attributes.channels});
  }
}

ops::Value Block::forward(ops::Backend& backend, const ops::Value& input, const ops::Value& global_query) const {
  const Parameter* gamma1 = gamma1_ ? &*gamma1_ : nullptr;
  const Parameter* gamma2 = gamma2_ ? &*gamma2_ : nullptr;
  ops::Value x = input;
  // x = x + drop_path(gamma1 * attention(norm1(x)))
  x = attn_.forward(backend, x, norm1_, gamma1, drop_path_, global_query);
  // x = x + drop_path(gamma2 * mlp(norm2(x)))
  x = mlp_.forward(backend, x, norm2_, gamma2, drop_path_);
  return x;
}

void Block::visit(const Visitor& visitor) {
  model::visit(norm1_, visitor);
  attn_.visit(visitor);
  if (gamma1_) visitor(*gamma1_);
  model::visit(norm2_, visitor);
  mlp_.visit(visitor);
  if (gamma2_) visitor(*gamma2_);
}

}  // namespace gcvit::model
