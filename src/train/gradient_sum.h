// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/training_executor.h"
#include "ops/value.h"

namespace gcvit::train {

/// Images that go forward and backward together: 8 at 224 pixels, more of smaller ones, up to 64. A batch of any size is
/// slices of so many, so its memory doesn't grow with the batch; fewer would pass over all weights' gradients too often.
inline std::size_t slice_images(const ops::Shape& image) {
  constexpr std::int64_t kPositions = std::int64_t{8} * 224 * 224;
  return static_cast<std::size_t>(std::clamp<std::int64_t>(kPositions / image.positions(), 8, 64));
}

/// Sums slices' gradients in a fixed binary tree: slices 0 and 1, 2 and 3, ... are added, then these sums in pairs, and
/// so on. Which sums there are depends on the number of slices alone, and no more than one a level is kept.
class GradientSum {
 public:
  /// `executor` must outlive the sum.
  GradientSum(std::span<const ops::Parameter* const> parameters, ops::TrainingExecutor& executor);

  /// Where the next slice's gradient goes: the executor's `backward` writes what is trained; what isn't stays zero.
  ops::ParameterVector& next();
  /// `next()` has it now.
  void add();
  /// The sum of all since the last call; at least one. Valid until the next `next()`.
  ops::ParameterVector& finish();

 private:
  using Vector = std::unique_ptr<ops::ParameterVector>;

  Vector take();

  std::vector<const ops::Parameter*> parameters_;
  ops::TrainingExecutor& executor_;
  Vector current_;
  std::vector<Vector> levels_;  ///< level l: the sum of 2^l slices, or null
  std::vector<Vector> free_;
  Vector total_;
};

}  // namespace gcvit::train
