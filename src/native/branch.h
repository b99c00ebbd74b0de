// SPDX-License-Identifier: Apache-2.0
// What drop path makes of a block's residual branch, and the rows that are left to compute.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "native/tape.h"
#include "ops/backend.h"

namespace gcvit::native {

/// Some rows of a map: those of the images that keep a branch, or all.
class Rows {
 public:
  Rows(std::int64_t images, std::int64_t positions) : positions_(positions), count_(images * positions) {}
  Rows(std::vector<std::int64_t> images, std::int64_t positions)
      : positions_(positions),
        count_(static_cast<std::int64_t>(images.size()) * positions),
        images_(std::move(images)) {}

  std::int64_t count() const { return count_; }
  /// The position, counted over all images, of row `row`.
  std::int64_t position(std::int64_t row) const {
    return images_.empty() ? row : images_[static_cast<std::size_t>(row / positions_)] * positions_ + row % positions_;
  }

 private:
  std::int64_t positions_;
  std::int64_t count_;
  std::vector<std::int64_t> images_;  ///< empty for all
};

/// What became of one residual branch in a run: which images keep it, and what it is multiplied by there.
struct Branch {
  std::vector<std::int64_t> kept, dropped;  ///< images; both empty when all keep it
  float scale = 1.0f;                       ///< 1 / (1 - drop path)

  /// Asks the training run for each image where drop path has a chance. Allocates nothing in other runs.
  Branch(const Tape& tape, const ops::Parameter* gamma, float drop_path, std::int32_t channels, std::int32_t batch);

  /// By channel: gamma times the scale; null when they are all 1.
  const float* factors() const { return scaled_.empty() ? gamma_ : scaled_.data(); }
  /// Copies the images that dropped the branch, `image_size` floats each, from x to y.
  void copy_dropped(const float* x, std::int64_t image_size, float* y) const {
    for (const std::int64_t image : dropped) std::copy_n(x + image * image_size, image_size, y + image * image_size);
  }
  /// Rows of a map that has `positions` of them an image; or other things that an image has so many of.
  Rows rows(std::int64_t batch, std::int64_t positions) const {
    return dropped.empty() ? Rows(batch, positions) : Rows(kept, positions);
  }

 private:
  const float* gamma_ = nullptr;
  std::vector<float> scaled_;
};

/// `weight_sums` (null when neither the weight nor gamma is trained) and `bias_sums` are the gradients of the linear layer
/// that ends a branch, without what the branch is multiplied by: multiplies them by it and adds gamma's gradient, which
/// is, channel by channel, the sum over positions of dy (x W^T + b), so W times W's gradient and b times b's.
void finish_branch_gradients(NativeBackend::State& state, const ops::Linear& linear, const ops::Parameter* gamma,
                             const Branch& branch, float* weight_sums, float* bias_sums);

}  // namespace gcvit::native
