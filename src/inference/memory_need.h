// SPDX-License-Identifier: Apache-2.0
// How much memory a model takes to run and to train, from its shapes alone: an upper bound that is held against
// --max-memory before anything is allocated.
#pragma once

#include <cstdint>

#include "model/gcvit.h"

namespace gcvit::inference {

/// How much memory a model takes, whatever the batch.
class MemoryNeed {
 public:
  /// Follows the model's shapes; it needs no values.
  explicit MemoryNeed(const model::GCViT& model);

  /// Bytes of a run over `batch` images on `threads` threads: parameters as kernels read them, with `keeps_parameters`
  /// as they are too, and beside them either what packing the largest takes or the maps between layers and what each
  /// thread works with. The images themselves count once.
  double of_run(double batch, int threads, bool keeps_parameters) const;
  /// Bytes of explaining one image, which goes forward and backward: beside the parameters what gradients need of them again.
  double of_explanation(int threads) const;
  /// Bytes of training with `batch` photos a step, `slice` of which go forward and backward together.
  /// `recompute_sublayers`: blocks keep their inputs alone (gradient checkpointing).
  double of_training(double batch, double slice, bool recompute_sublayers, int threads) const;

 private:
  // In floats.
  double parameters_;
  double largest_;  ///< the parameter with the most
  double image_;
  double buffers_;  ///< an image's maps that are in memory together
  double outer_values_;  ///< all of an image's maps but those inside sub-layers
  double inner_values_;  ///< those inside sub-layers that keep them for their backward
  double scratch_;  ///< of a thread
  double backward_scratch_;
};

}  // namespace gcvit::inference
