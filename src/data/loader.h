// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/image_set.h"

namespace gcvit::data {

/// A photo that can't be decoded, and why.
struct SkippedSample {
  std::size_t sample = 0;
  std::string error;
};

/// B photos ready for the model; fewer than the batch size only at the end of the order.
struct Batch {
  std::vector<std::size_t> samples;  ///< B indices into the set
  std::vector<std::int32_t> labels;  ///< B
  std::vector<float> images;  ///< B x height x width x 3, normalised
  std::size_t next_position =
      0;  ///< position in the order at which the next batch begins: `start` of a loader that resumes there
  std::vector<SkippedSample> skipped;  ///< broken photos met on the way; the next good ones took their places
};

struct LoaderConfig {
  AugmentConfig augment;
  /// A view depends on (seed, epoch, sample) alone.
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;
  std::size_t batch = 32;
  int threads = 1;  ///< number of threads that decode, at lower priority
  std::size_t ahead = 2;  ///< number of batches prepared ahead, which bounds the memory
  bool strict = false;  ///< a broken photo is an error
};

/// Yields an order of samples in batches, which threads decode and augment while others compute. Batches depend on the
/// files, the order and the config, never on the number of threads.
class BatchLoader {
 public:
  /// `order`: indices into `set`, which must outlive the loader; begins at `order[start]`.
  BatchLoader(const ImageSet& set, std::vector<std::size_t> order, std::size_t start, LoaderConfig config);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// Writes the next batch to `batch`, reusing its memory. False when no photo is left; `batch.skipped` then lists the
  /// broken ones at the end. Throws `Error` for a broken photo when `strict`.
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit::data
