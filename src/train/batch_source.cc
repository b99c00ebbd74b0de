// SPDX-License-Identifier: Apache-2.0
#include "train/batch_source.h"

#include <utility>

#include "data/sampler.h"

namespace gcvit::train {
namespace {

data::AugmentConfig augment_of(const Recipe& recipe, const image::PreprocessConfig& target, std::uint64_t max_memory) {
  data::AugmentConfig config;
  config.target = target;
  config.decode = {.max_pixels = recipe.max_pixels, .max_memory = max_memory};
  config.kind = recipe.augment == "none"   ? data::Augment::kNone
                : recipe.augment == "flip" ? data::Augment::kFlip
                                           : data::Augment::kRandAugment;
  if (recipe.rrc_scale > 0.0) config.rrc_scale = {recipe.rrc_scale, 1.0};
  config.random_erasing = recipe.random_erasing;
  return config;
}

}  // namespace

ImageSource::ImageSource(const data::ImageSet& set, data::Partition split, const Recipe& recipe,
                         const image::PreprocessConfig& target, int threads, std::uint64_t max_memory)
    : set_(set),
      split_(std::move(split)),
      recipe_(recipe),
      augment_(augment_of(recipe, target, max_memory)),
      threads_(threads) {
  data::check(augment_);
}

void ImageSource::start(std::vector<std::size_t> order, std::size_t position, std::uint64_t epoch,
                        const data::AugmentConfig& augment) {
  loader_.reset();  // its threads first, so that there are never twice as many
  loader_ =
      std::make_unique<data::BatchLoader>(set_, std::move(order), position,
                                          data::LoaderConfig{.augment = augment,
                                                             .seed = recipe_.seed,
                                                             .epoch = epoch,
                                                             .batch = static_cast<std::size_t>(recipe_.batch_size),
                                                             .threads = threads_,
                                                             .strict = recipe_.strict});
}

void ImageSource::start_training(std::uint64_t epoch, std::size_t position) {
  start(data::epoch_order(split_.train, recipe_.seed, epoch, !recipe_.no_shuffle), position, epoch, augment_);
}

void ImageSource::start_validation() { start_as_evaluation(split_.validation); }

void ImageSource::start_unaugmented() { start_as_evaluation(split_.train); }

void ImageSource::start_as_evaluation(const std::vector<std::size_t>& samples) {
  data::AugmentConfig plain = augment_;
  plain.kind = data::Augment::kNone;
  start(samples, 0, 0, plain);
}

}  // namespace gcvit::train
