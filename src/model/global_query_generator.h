// SPDX-License-Identifier: Apache-2.0
//   q_global = F_K(... F_1(x))        F: FeatureExtraction; K = log2(map / window), or one that keeps the size
// Where images have another size than windows were made for, the last map is resized to the window.
// H x W x C -> h x w x C: the whole map condensed to one window of queries, computed once a level from the level's
// input and shared by all windows of that image in all its global blocks. Paper: Global Token Generator (section 3.2).
#pragma once

#include <vector>

#include "model/feature_extraction.h"
#include "model/parameters.h"
#include "ops/backend.h"

namespace gcvit::model {

class GlobalQueryGenerator {
 public:
  /// `reductions` halvings; 0 gives one FeatureExtraction that keeps the size.
  GlobalQueryGenerator(std::int32_t channels, std::int32_t squeezed, std::int32_t reductions, ops::PoolPadding padding,
                       ops::Window window);
  ops::Value forward(ops::Backend& backend, const ops::Value& x) const;
  void visit(const Visitor& visitor);

 private:
  std::vector<FeatureExtraction> to_q_global_;
  ops::Window window_;
};

}  // namespace gcvit::model
