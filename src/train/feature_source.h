// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/gcvit.h"
#include "ops/executor.h"
#include "train/batch_source.h"

namespace gcvit::train {

/// The pooled features of photos, computed once: what a linear probe trains on. With flips each photo has those of its
/// mirror image too, and an epoch takes one of the two by (seed, epoch, sample).
class FeatureSource final : public BatchSource {
 public:
  using Skipped = std::function<void(const data::SkippedSample& skipped)>;

  /// Runs all photos of `images` through `model` on `executor` as evaluation sees them. `progress` is called with the
  /// number of photos that are done.
  FeatureSource(const model::GCViT& model, ImageSource& images, const Recipe& recipe, ops::Executor& executor,
                const Skipped& skipped, const std::function<void(std::int64_t done)>& progress);

  std::size_t training_images() const override { return training_.samples.size(); }
  std::size_t validation_images() const override { return validation_.samples.size(); }
  void start_training(std::uint64_t epoch, std::size_t position) override;
  void start_validation() override;
  bool next(data::Batch& batch) override;

 private:
  struct Side {
    std::vector<std::size_t> samples;
    std::vector<std::int32_t> labels;
    std::vector<float> features;  ///< [samples, channels]
    std::vector<float> mirrored;  ///< likewise, or nothing
  };

  Recipe recipe_;
  std::size_t channels_;
  Side training_;
  Side validation_;
  const Side* side_ = nullptr;
  std::vector<std::size_t> order_;
  std::size_t position_ = 0;
  std::uint64_t epoch_ = 0;
};

}  // namespace gcvit::train
