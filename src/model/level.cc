// SPDX-License-Identifier: Apache-2.0
#include "model/level.h"

#include <algorithm>
#include <numeric>

#include "model/tensor_table.h"

namespace gcvit::model {
namespace {

/// Drop path grows linearly over all blocks of the model, from 0 at the first to the config's rate at the last.
float drop_path_rate(const GCViTConfig& config, int level, std::int32_t block) {
  const std::int32_t before = std::accumulate(config.depths.begin(), config.depths.begin() + level, block);
  const std::int32_t last = std::accumulate(config.depths.begin(), config.depths.end(), -1);
  return last == 0 ? 0.0f : config.drop_path * (static_cast<float>(before) / static_cast<float>(last));
}

}  // namespace

Level::Level(const GCViTConfig& config, int index)
    : name_(level_name(index)),
      tap_name_("level" + std::to_string(index + 1)),
      q_global_gen_(config.channels(index), config.squeezed_channels(config.channels(index)),
                    config.query_reductions(index), config.pool_padding,
                    config.windows[static_cast<std::size_t>(index)]) {
  const auto l = static_cast<std::size_t>(index);
  const std::int32_t channels = config.channels(index);
  for (std::int32_t n = 0; n < config.depths[l]; ++n) {
    const bool local = n % 2 == 0;
    blocks_.emplace_back(
        Block::Attributes{.channels = channels,
                          .heads = config.heads[l],
                          .hidden = config.hidden_channels(index),
                          .window = config.windows[l],
                          .query = local ? WindowAttention::Query::kLocal : WindowAttention::Query::kGlobal,
                          .layer_scale = config.layer_scale,
                          .drop_path = drop_path_rate(config, index, n)});
  }
  if (index + 1 < kLevels) downsample_.emplace(channels, 2 * channels, config.squeezed_channels(channels));
}

ops::Value Level::forward(ops::Backend& backend, const ops::Value& input) const {
  const ops::Scope scope(backend, name_, "Level");
  const ops::Value global_query = q_global_gen_.forward(backend, input);
  ops::Value x = input;
  for (const Block& block : blocks_) x = block.forward(backend, x, global_query);
  backend.tap(tap_name_, x);
  return downsample_ ? downsample_->forward(backend, x) : x;
}

void Level::visit(const Visitor& visitor) {
  q_global_gen_.visit(visitor);
  for (Block& block : blocks_) block.visit(visitor);
  if (downsample_) downsample_->visit(visitor);
}

}  // namespace gcvit::model
