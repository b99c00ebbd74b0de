// SPDX-License-Identifier: Apache-2.0
#include "model/feature_extraction.h"

namespace gcvit::model {

FeatureExtraction::FeatureExtraction(std::int32_t channels, std::int32_t squeezed, bool keep_size,
                                     ops::PoolPadding padding)
    : conv_(channels, squeezed), keep_size_(keep_size), padding_(padding) {}

ops::Value FeatureExtraction::forward(ops::Backend& backend, const ops::Value& x) const {
  const ops::Value features = conv_.forward(backend, x);
  return keep_size_ ? features : backend.max_pool3x3_stride2(features, padding_);
}

void FeatureExtraction::visit(const Visitor& visitor) { conv_.visit(visitor); }

}  // namespace gcvit::model
