// SPDX-License-Identifier: Apache-2.0
#include "model/squeeze_excitation.h"

namespace gcvit::model {

SqueezeAndExcitation::SqueezeAndExcitation(std::int32_t channels, std::int32_t squeezed)
    : squeeze_(make_linear_without_bias(channels, squeezed)), excite_(make_linear_without_bias(squeezed, channels)) {}

ops::Value SqueezeAndExcitation::forward(ops::Backend& backend, const ops::Value& x) const {
  const ops::Value mean = backend.global_average_pool(x);
  const ops::Value squeezed = backend.linear(mean, squeeze_, {.activation = ops::Activation::kGelu});
  const ops::Value scale = backend.linear(squeezed, excite_, {.activation = ops::Activation::kSigmoid});
  return backend.scale_channels(x, scale);
}

void SqueezeAndExcitation::visit(const Visitor& visitor) {
  model::visit(squeeze_, visitor);
  model::visit(excite_, visitor);
}

}  // namespace gcvit::model
