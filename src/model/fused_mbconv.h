// SPDX-License-Identifier: Apache-2.0
//   x + conv1x1(SE(GELU(dwconv3x3(x))))        no biases
// H x W x C -> H x W x C. Paper: modified Fused-MBConv (equation 1). It has no class of its own in the references:
// NVlabs and Keras keep its layers in a list called `conv`.
#pragma once

#include "model/parameters.h"
#include "model/squeeze_excitation.h"
#include "ops/backend.h"

namespace gcvit::model {

class FusedMBConv {
 public:
  FusedMBConv(std::int32_t channels, std::int32_t squeezed);
  ops::Value forward(ops::Backend& backend, const ops::Value& x) const;
  void visit(const Visitor& visitor);

 private:
  ops::Conv3x3 depthwise_;
  SqueezeAndExcitation squeeze_excitation_;
  ops::Linear pointwise_;
};

}  // namespace gcvit::model
