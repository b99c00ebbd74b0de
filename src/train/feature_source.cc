// SPDX-License-Identifier: Apache-2.0
#include "train/feature_source.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "data/sampler.h"
#include "train/gradient_sum.h"

namespace gcvit::train {
namespace {

/// Mirrors `count` images left to right.
void mirror(std::span<float> images, std::size_t count, std::size_t height, std::size_t width) {
  for (std::size_t row = 0; row < count * height; ++row) {
    float* const first = images.data() + row * width * 3;
    for (std::size_t x = 0; x < width / 2; ++x) {
      std::swap_ranges(first + x * 3, first + x * 3 + 3, first + (width - 1 - x) * 3);
    }
  }
}

/// The pooled features of a model, for a slice of images at a time.
class Extractor {
 public:
  Extractor(const model::GCViT& model, ops::Executor& executor) : model_(model), executor_(executor) {
    executor_.set_tap_hook([this](std::string_view name, const ops::Value& value) {
      if (name != "pooled") return;
      const std::span<const float> values = executor_.read(value);
      into_->insert(into_->end(), values.begin(), values.end());
    });
  }

  ~Extractor() { executor_.set_tap_hook({}); }
  Extractor(const Extractor&) = delete;
  Extractor& operator=(const Extractor&) = delete;

  void append(std::span<const float> images, std::size_t count, std::vector<float>& features) {
    into_ = &features;
    const ops::Shape shape{model_.config().image_height, model_.config().image_width, 3};
    const auto size = static_cast<std::size_t>(shape.size());
    for (std::size_t begin = 0; begin < count;) {
      const std::size_t slice = std::min(slice_images(shape), count - begin);
      executor_.start(static_cast<std::int32_t>(slice));
      (void)model_.forward(executor_, executor_.input(shape, images.subspan(begin * size, slice * size)));
      begin += slice;
    }
  }

 private:
  const model::GCViT& model_;
  ops::Executor& executor_;
  std::vector<float>* into_ = nullptr;
};

}  // namespace

FeatureSource::FeatureSource(const model::GCViT& model, ImageSource& images, const Recipe& recipe,
                             ops::Executor& executor, const Skipped& skipped,
                             const std::function<void(std::int64_t done)>& progress)
    : recipe_(recipe), channels_(static_cast<std::size_t>(model.config().channels(model::kLevels - 1))) {
  Extractor extractor(model, executor);
  data::Batch batch;
  std::int64_t done = 0;
  const auto run = [&](Side& side, bool mirrored) {
    while (true) {
      const bool more = images.next(batch);
      for (const data::SkippedSample& sample : batch.skipped) skipped(sample);
      if (!more) return;
      const std::size_t count = batch.samples.size();
      side.samples.insert(side.samples.end(), batch.samples.begin(), batch.samples.end());
      side.labels.insert(side.labels.end(), batch.labels.begin(), batch.labels.end());
      extractor.append(batch.images, count, side.features);
      if (mirrored) {
        mirror(batch.images, count, static_cast<std::size_t>(model.config().image_height),
               static_cast<std::size_t>(model.config().image_width));
        extractor.append(batch.images, count, side.mirrored);
      }
      progress(done += static_cast<std::int64_t>(count));
    }
  };
  images.start_unaugmented();
  run(training_, recipe.augment == "flip");
  images.start_validation();
  run(validation_, false);
}

void FeatureSource::start_training(std::uint64_t epoch, std::size_t position) {
  side_ = &training_;
  epoch_ = epoch;
  position_ = position;
  std::vector<std::size_t> rows(training_.samples.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  order_ = data::epoch_order(rows, recipe_.seed, epoch, !recipe_.no_shuffle);
}

void FeatureSource::start_validation() {
  side_ = &validation_;
  position_ = 0;
  order_.resize(validation_.samples.size());
  std::iota(order_.begin(), order_.end(), std::size_t{0});
}

bool FeatureSource::next(data::Batch& batch) {
  batch.samples.clear();
  batch.labels.clear();
  batch.images.clear();
  batch.skipped.clear();
  const std::size_t end = std::min(order_.size(), position_ + static_cast<std::size_t>(recipe_.batch_size));
  for (; position_ < end; ++position_) {
    const std::size_t row = order_[position_];
    const std::size_t sample = side_->samples[row];
    const bool mirrored = !side_->mirrored.empty() &&
                          data::random_for(recipe_.seed, data::Purpose::kView, epoch_, sample).uniform() < 0.5f;
    const std::vector<float>& features = mirrored ? side_->mirrored : side_->features;
    const auto first = features.begin() + static_cast<std::ptrdiff_t>(row * channels_);
    batch.samples.push_back(sample);
    batch.labels.push_back(side_->labels[row]);
    batch.images.insert(batch.images.end(), first, first + static_cast<std::ptrdiff_t>(channels_));
  }
  batch.next_position = position_;
  return !batch.samples.empty();
}

}  // namespace gcvit::train
