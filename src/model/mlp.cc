// SPDX-License-Identifier: Apache-2.0
#include "model/mlp.h"

namespace gcvit::model {

Mlp::Mlp(std::int32_t channels, std::int32_t hidden)
    : fc1_(make_linear(channels, hidden)), fc2_(make_linear(hidden, channels)) {}

ops::Value Mlp::forward(ops::Backend& backend, const ops::Value& x, const ops::LayerNorm& norm, const Parameter* gamma,
                        float drop_path) const {
  return backend.mlp_sublayer(x, {.norm = norm, .fc1 = fc1_, .fc2 = fc2_, .gamma = gamma, .drop_path = drop_path});
}

void Mlp::visit(const Visitor& visitor) {
  model::visit(fc1_, visitor);
  model::visit(fc2_, visitor);
}

}  // namespace gcvit::model
