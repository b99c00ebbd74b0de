// SPDX-License-Identifier: Apache-2.0
#include "model/patch_embed.h"

namespace gcvit::model {

PatchEmbed::PatchEmbed(std::int32_t dim, std::int32_t squeezed)
    : proj_(make_conv3x3(3, dim)), conv_down_(dim, dim, squeezed) {
  proj_.bias = Parameter(ops::Role::kBias, {dim});
}

ops::Value PatchEmbed::forward(ops::Backend& backend, const ops::Value& image) const {
  const ops::Scope scope(backend, "patch_embed", "PatchEmbed");
  const ops::Value x = backend.convolution3x3_stride2(image, proj_);
  return conv_down_.forward(backend, x);
}

void PatchEmbed::visit(const Visitor& visitor) {
  model::visit(proj_, visitor);
  conv_down_.visit(visitor);
}

}  // namespace gcvit::model
