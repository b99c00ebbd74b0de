// SPDX-License-Identifier: Apache-2.0
#include "model/reduce_size.h"

namespace gcvit::model {

ReduceSize::ReduceSize(std::int32_t in_channels, std::int32_t out_channels, std::int32_t squeezed)
    : norm1_(make_layer_norm(in_channels)),
      conv_(in_channels, squeezed),
      reduction_(make_conv3x3(in_channels, out_channels)),
      norm2_(make_layer_norm(out_channels)) {}

ops::Value ReduceSize::forward(ops::Backend& backend, const ops::Value& x) const {
  ops::Value y = backend.layer_norm(x, norm1_);
  y = conv_.forward(backend, y);
  y = backend.convolution3x3_stride2(y, reduction_);
  return backend.layer_norm(y, norm2_);
}

void ReduceSize::visit(const Visitor& visitor) {
  model::visit(norm1_, visitor);
  conv_.visit(visitor);
  model::visit(reduction_, visitor);
  model::visit(norm2_, visitor);
}

}  // namespace gcvit::model
