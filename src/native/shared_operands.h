// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/operand.h"
#include "native/scratch.h"
#include "native/state.h"

namespace gcvit::native {

/// The operands of blocks of rows whose products are cut into several tasks: all threads round each block once, before
/// the tasks. There are none where the weights want no rounding, and where a block is one task, which rounds it itself.
/// They last until the next operation.
class SharedOperands {
 public:
  struct Blocks {
    std::int64_t count;  ///< of blocks
    std::int64_t tasks;  ///< into which each block's product is cut
    std::int64_t most_rows;  ///< of a block
    std::int64_t scratch_floats = 0;  ///< that `point` takes
  };

  /// `point(block, rows, scratch)` writes where the block's rows lie, [taps][count], and returns that count.
  template <typename Point>
  SharedOperands(NativeBackend::State& state, const kernels::PackedWeights& weights, const Blocks& blocks,
                 const Point& point) {
    stride_ = blocks.tasks == 1 ? 0 : Scratch::rounded(kernels::operand_size(weights, blocks.most_rows));
    if (stride_ == 0) return;
    operands_ = state.operand_room(blocks.count * stride_);
    // Few blocks are cut into pieces, so that every thread has some.
    const std::int64_t pieces = std::clamp<std::int64_t>(2 * state.pool.size() / blocks.count, 1, blocks.most_rows);
    const std::int64_t taps = weights.taps;
    state.parallel_for(blocks.count * pieces, blocks.scratch_floats, 2 * taps * blocks.most_rows,
                       [&](std::int64_t task, Scratch& scratch) {
                         const std::int64_t block = task / pieces;
                         const std::int64_t piece = task % pieces;
                         const float** all = scratch.pointers(taps * blocks.most_rows);
                         const std::int64_t count = point(block, all, scratch);
                         const std::int64_t first = piece * count / pieces;
                         const std::int64_t rows = (piece + 1) * count / pieces - first;
                         const float** some = scratch.pointers(taps * rows);
                         for (std::int64_t tap = 0; tap < taps; ++tap)
                           std::copy_n(all + tap * count + first, rows, some + tap * rows);
                         kernels::round_operand(weights, some, rows,
                                                operands_ + block * stride_ + first * kernels::operand_stride(weights));
                       });
  }

  /// A block's; null for none.
  const float* operator[](std::int64_t block) const {
    return operands_ == nullptr ? nullptr : operands_ + block * stride_;
  }

 private:
  float* operands_ = nullptr;
  std::int64_t stride_ = 0;
};

}  // namespace gcvit::native
