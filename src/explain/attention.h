// SPDX-License-Identifier: Apache-2.0
// What attention looks at: softmax(q k^T / sqrt(D) + bias) of one block, computed from what its fused form computes with.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gcvit/explain.h"
#include "base/thread_pool.h"
#include "ops/executor.h"
#include "ops/value.h"

namespace gcvit::explain {

/// The windows of one block, on its map as it is padded to whole windows.
struct BlockWindows {
  ops::Shape map;  ///< not padded
  std::int32_t down, across;
  ops::Window window;
  std::int32_t heads;
};

/// One row of probabilities: how `query` of a window looks at each of the window's keys, both counted row by row.
using AttentionRow = std::function<void(const BlockWindows& windows, std::int32_t window, std::int32_t head,
                                        std::int32_t query, std::span<const float> keys)>;

/// Runs `model` on one input and gives every row of block `block` (from 0) of level `level` (1 to 4) to `take`: rows of one window in
/// their order on one thread, windows on any.
void attention_rows(const Model& model, ops::Executor& executor, ThreadPool& pool, std::span<const float> tensor,
                    std::int32_t level, std::int32_t block, const std::stop_token& stop, const AttentionRow& take);

/// The options, whose level is 1 to 4, with the block that they mean where they name none. Throws `Error` where they name something that the model hasn't.
AttentionOptions resolved(const Model& model, AttentionOptions options);

Explanation attention_map(const Model& model, ops::Executor& executor, ThreadPool& pool, std::span<const float> tensor,
                          const AttentionOptions& options);

}  // namespace gcvit::explain
