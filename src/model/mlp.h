// SPDX-License-Identifier: Apache-2.0
//   x + gamma * fc2(GELU(fc1(LN(x))))        fc1: C -> mlp_ratio * C, fc2: back to C
// H x W x C -> H x W x C, each position by itself. NVlabs, timm and Keras `Mlp`.
#pragma once

#include "model/parameters.h"
#include "ops/backend.h"

namespace gcvit::model {

class Mlp {
 public:
  Mlp(std::int32_t channels, std::int32_t hidden);
  /// The normalisation before and the residual around belong to the block and are handed in, so that a backend can run
  /// them as one.
  ops::Value forward(ops::Backend& backend, const ops::Value& x, const ops::LayerNorm& norm, const Parameter* gamma,
                     float drop_path) const;
  void visit(const Visitor& visitor);

 private:
  ops::Linear fc1_;
  ops::Linear fc2_;
};

}  // namespace gcvit::model
