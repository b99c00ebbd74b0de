// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tests/testing/training_reference.h"
#include "train/batch_source.h"

namespace gcvit::train {

/// Batches of the images and labels that a formula gives, without end.
class ReferenceSource final : public BatchSource {
 public:
  ReferenceSource(std::int64_t batch, std::int64_t image_size, std::int32_t classes)
      : batch_(batch), image_size_(image_size), classes_(classes) {}

  std::size_t training_images() const override { return 0; }
  std::size_t validation_images() const override { return 0; }
  void start_training(std::uint64_t, std::size_t) override {}
  void start_validation() override {}
  bool next(data::Batch& batch) override {
    batch.images = testing::reference_images(first_, batch_, image_size_);
    batch.labels = testing::reference_labels(first_, batch_, classes_);
    batch.samples.clear();
    for (std::int64_t i = 0; i < batch_; ++i) batch.samples.push_back(static_cast<std::size_t>(first_++));
    batch.next_position = static_cast<std::size_t>(first_);
    return true;
  }

 private:
  std::int64_t batch_;
  std::int64_t image_size_;
  std::int32_t classes_;
  std::int64_t first_ = 0;
};

}  // namespace gcvit::train
