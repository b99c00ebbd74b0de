// SPDX-License-Identifier: Apache-2.0
// Where the trainer's batches come from: photos through decoding and augmentation, or features that were computed once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/loader.h"
#include "data/image_set.h"
#include "data/partition.h"
#include "train/recipe.h"

namespace gcvit::train {

class BatchSource {
 public:
  BatchSource() = default;
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;
  virtual ~BatchSource() = default;

  /// Photos of an epoch.
  virtual std::size_t training_images() const = 0;
  virtual std::size_t validation_images() const = 0;
  /// Begins epoch `epoch` (from 0) at `position` of its order.
  virtual void start_training(std::uint64_t epoch, std::size_t position) = 0;
  virtual void start_validation() = 0;
  /// The next batch of what was started; `images` holds an input of the network for each sample. False behind the last.
  virtual bool next(data::Batch& batch) = 0;
};

/// Photos from disk. A view depends on (seed, epoch, sample), the order on (seed, epoch).
class ImageSource final : public BatchSource {
 public:
  /// `set` must outlive the source. `target`: how evaluation prepares photos. Threads decode beside those that compute.
  /// `max_memory`: bytes that the program may take, 0 for `default_memory_limit()`; decoding may take a third of it.
  ImageSource(const data::ImageSet& set, data::Partition split, const Recipe& recipe,
              const image::PreprocessConfig& target, int threads, std::uint64_t max_memory);

  std::size_t training_images() const override { return split_.train.size(); }
  std::size_t validation_images() const override { return split_.validation.size(); }
  void start_training(std::uint64_t epoch, std::size_t position) override;
  void start_validation() override;
  /// The photos to train on in their own order, as evaluation sees them.
  void start_unaugmented();
  bool next(data::Batch& batch) override { return loader_->next(batch); }

  const data::AugmentConfig& augment() const { return augment_; }

 private:
  void start_as_evaluation(const std::vector<std::size_t>& samples);
  void start(std::vector<std::size_t> order, std::size_t position, std::uint64_t epoch,
             const data::AugmentConfig& augment);

  const data::ImageSet& set_;
  data::Partition split_;
  Recipe recipe_;
  data::AugmentConfig augment_;
  int threads_;
  std::unique_ptr<data::BatchLoader> loader_;
};

}  // namespace gcvit::train
