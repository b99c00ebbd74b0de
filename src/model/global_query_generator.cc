// SPDX-License-Identifier: Apache-2.0
#include "model/global_query_generator.h"

#include <algorithm>

namespace gcvit::model {

GlobalQueryGenerator::GlobalQueryGenerator(std::int32_t channels, std::int32_t squeezed, std::int32_t reductions,
                                           ops::PoolPadding padding, ops::Window window)
    : window_(window) {
  const bool keep_size = reductions == 0;
  for (std::int32_t k = 0; k < std::max(reductions, 1); ++k) {
    to_q_global_.emplace_back(channels, squeezed, keep_size, padding);
  }
}

ops::Value GlobalQueryGenerator::forward(ops::Backend& backend, const ops::Value& x) const {
  ops::Value query = x;
  for (const FeatureExtraction& extraction : to_q_global_) query = extraction.forward(backend, query);
  if (ops::Window{query.shape().height, query.shape().width} == window_) return query;
  return backend.resize_bicubic(query, window_.height, window_.width);
}

void GlobalQueryGenerator::visit(const Visitor& visitor) {
  for (FeatureExtraction& extraction : to_q_global_) extraction.visit(visitor);
}

}  // namespace gcvit::model
