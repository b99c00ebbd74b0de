// SPDX-License-Identifier: Apache-2.0
//   q_global = GlobalQueryGenerator(x);  x = blocks(x, q_global);  x = ReduceSize(x) except in the last level
// H x W x C -> H/2 x W/2 x 2C, or H x W x C in the last level. The query comes from the level's input, before any block.
// Paper: stage (figure 2); NVlabs `GCViTLayer`, Keras example `Level`; timm's stage starts with the downsample that ends
// our previous level.
#pragma once

#include <optional>
#include <vector>

#include "model/block.h"
#include "model/config.h"
#include "model/global_query_generator.h"
#include "model/parameters.h"
#include "model/reduce_size.h"
#include "ops/backend.h"

namespace gcvit::model {

class Level {
 public:
  /// Level `index` (0-based) of the model that `config` describes.
  Level(const GCViTConfig& config, int index);
  /// Offers the map behind the blocks, before the downsample, as tap "level1".."level4".
  ops::Value forward(ops::Backend& backend, const ops::Value& x) const;
  void visit(const Visitor& visitor);

 private:
  std::string name_;
  std::string tap_name_;
  GlobalQueryGenerator q_global_gen_;
  std::vector<Block> blocks_;
  std::optional<ReduceSize> downsample_;
};

}  // namespace gcvit::model
