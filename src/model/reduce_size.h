// SPDX-License-Identifier: Apache-2.0
//   LN(conv3x3_stride2(FusedMBConv(LN(x))))        conv: padding 1, no bias
// H x W x C -> H/2 x W/2 x 2C, or C when the channels are kept (in the stem). Paper: Downsample (section 3.3); NVlabs
// and Keras `ReduceSize`. At the end of a level in NVlabs and Keras, at the start of the next stage in timm.
#pragma once

#include "model/fused_mbconv.h"
#include "model/parameters.h"
#include "ops/backend.h"

namespace gcvit::model {

class ReduceSize {
 public:
  ReduceSize(std::int32_t in_channels, std::int32_t out_channels, std::int32_t squeezed);
  ops::Value forward(ops::Backend& backend, const ops::Value& x) const;
  void visit(const Visitor& visitor);

 private:
  ops::LayerNorm norm1_;
  FusedMBConv conv_;
  ops::Conv3x3 reduction_;
  ops::LayerNorm norm2_;
};

}  // namespace gcvit::model
