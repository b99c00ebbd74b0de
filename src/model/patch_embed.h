// SPDX-License-Identifier: Apache-2.0
//   ReduceSize(conv3x3_stride2(image))        conv: padding 1, with bias; ReduceSize keeps the channels
// H x W x 3 -> H/4 x W/4 x dim. Paper: Stem (section 3.1); NVlabs and Keras `PatchEmbed`, timm `Stem`.
#pragma once

#include "model/parameters.h"
#include "model/reduce_size.h"
#include "ops/backend.h"

namespace gcvit::model {

class PatchEmbed {
 public:
  PatchEmbed(std::int32_t dim, std::int32_t squeezed);
  ops::Value forward(ops::Backend& backend, const ops::Value& image) const;
  void visit(const Visitor& visitor);

 private:
  ops::Conv3x3 proj_;
  ReduceSize conv_down_;
};

}  // namespace gcvit::model
