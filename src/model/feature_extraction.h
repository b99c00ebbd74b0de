// SPDX-License-Identifier: Apache-2.0
//   max_pool3x3_stride2(FusedMBConv(x))        or FusedMBConv(x) when the size is kept
// H x W x C -> H/2 x W/2 x C, or H x W x C. Keras example and NVlabs `FeatExtract`; timm `FeatureBlock`.
// What the pool sees beyond the border: minus infinity in PyTorch's code, zero in Keras' (config.pool_padding).
#pragma once

#include "model/fused_mbconv.h"
#include "model/parameters.h"
#include "ops/backend.h"

namespace gcvit::model {

class FeatureExtraction {
 public:
  FeatureExtraction(std::int32_t channels, std::int32_t squeezed, bool keep_size, ops::PoolPadding padding);
  ops::Value forward(ops::Backend& backend, const ops::Value& x) const;
  void visit(const Visitor& visitor);

 private:
  FusedMBConv conv_;
  bool keep_size_;
  ops::PoolPadding padding_;
};

}  // namespace gcvit::model
