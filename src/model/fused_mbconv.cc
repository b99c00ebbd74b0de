// SPDX-License-Identifier: Apache-2.0
#include "model/fused_mbconv.h"

namespace gcvit::model {

FusedMBConv::FusedMBConv(std::int32_t channels, std::int32_t squeezed)
    : depthwise_(make_depthwise(channels)),
      squeeze_excitation_(channels, squeezed),
      pointwise_(make_pointwise(channels, channels)) {}

ops::Value FusedMBConv::forward(ops::Backend& backend, const ops::Value& x) const {
  const ops::Value filtered = backend.depthwise_convolution3x3(x, depthwise_, ops::Activation::kGelu);
  const ops::Value scaled = squeeze_excitation_.forward(backend, filtered);
  const ops::Residual residual{x};
  return backend.linear(scaled, pointwise_, {.residual = &residual});
}

void FusedMBConv::visit(const Visitor& visitor) {
  model::visit(depthwise_, visitor);
  squeeze_excitation_.visit(visitor);
  model::visit(pointwise_, visitor);
}

}  // namespace gcvit::model
