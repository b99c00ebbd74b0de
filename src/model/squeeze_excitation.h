// SPDX-License-Identifier: Apache-2.0
//   x * sigmoid(W2 GELU(W1 mean(x)))        mean over positions; W1: C -> C/4, W2: C/4 -> C, no biases
// H x W x C -> H x W x C. Paper: the SE block of the modified Fused-MBConv (section 3.3). NVlabs `SE`, Keras example
// `SqueezeAndExcitation`; timm's rounds C/4 to a multiple of 8, which differs only where dim < 32.
#pragma once

#include "model/parameters.h"
#include "ops/backend.h"

namespace gcvit::model {

class SqueezeAndExcitation {
 public:
  SqueezeAndExcitation(std::int32_t channels, std::int32_t squeezed);
  ops::Value forward(ops::Backend& backend, const ops::Value& x) const;
  void visit(const Visitor& visitor);

 private:
  ops::Linear squeeze_;
  ops::Linear excite_;
};

}  // namespace gcvit::model
