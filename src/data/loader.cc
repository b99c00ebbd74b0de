// SPDX-License-Identifier: Apache-2.0
#include "data/loader.h"

#include <algorithm>
#include <utility>

#include "data/sampler.h"
#include "image/image_queue.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

/// `order` from `start` on, once all of it is known to be sound.
std::vector<std::size_t> rest_of(std::vector<std::size_t> order, std::size_t start, const ImageSet& set) {
  if (start > order.size()) fail("[data] loader: expected a start up to {}, found {}", order.size(), start);
  for (const std::size_t sample : order) {
    if (sample >= set.samples.size()) {
      fail("[data] loader: expected samples below {}, found {}", set.samples.size(), sample);
    }
  }
  order.erase(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(start));
  return order;
}

LoaderConfig checked(LoaderConfig config) {
  check(config.augment);
  if (config.batch < 1) fail("[data] loader: expected batches of 1 photo at least, found {}", config.batch);
  config.threads = std::max(config.threads, 1);
  return config;
}

}  // namespace

struct BatchLoader::State {
  const ImageSet& set;
  const LoaderConfig config;
  const std::vector<std::size_t> order;  ///< from `start` on
  const std::size_t start;
  std::vector<ViewScratch> scratch;
  image::ImageQueue queue;

  State(const ImageSet& images, std::vector<std::size_t> whole_order, std::size_t first, LoaderConfig wanted)
      : set(images),
        config(checked(std::move(wanted))),
        order(rest_of(std::move(whole_order), first, images)),
        start(first),
        scratch(static_cast<std::size_t>(config.threads)),
        queue(order.size(), view_size(config.augment),
              config.batch * config.ahead + static_cast<std::size_t>(config.threads), config.threads,
              [this](std::size_t index, std::span<float> view, int thread) { make(index, view, thread); }) {}

  void make(std::size_t index, std::span<float> view, int thread) {
    const std::size_t sample = order[index];
    const auto share = image::take_file_memory(size_of(set.samples[sample]), config.augment.decode);
    make_view(read_sample(set.samples[sample]), describe(set.samples[sample]), config.augment,
              random_for(config.seed, Purpose::kView, config.epoch, sample), view,
              scratch[static_cast<std::size_t>(thread)]);
  }
};

BatchLoader::BatchLoader(const ImageSet& set, std::vector<std::size_t> order, std::size_t start, LoaderConfig config)
    : state_(std::make_unique<State>(set, std::move(order), start, std::move(config))) {}

BatchLoader::~BatchLoader() = default;

bool BatchLoader::next(Batch& batch) {
  batch.samples.clear();
  batch.labels.clear();
  batch.images.clear();
  batch.skipped.clear();
  while (batch.samples.size() < state_->config.batch) {
    const image::ImageQueue::Image* image = state_->queue.next();
    if (image == nullptr) {
      batch.next_position = state_->start + state_->order.size();
      break;
    }
    batch.next_position = state_->start + image->index + 1;
    const std::size_t sample = state_->order[image->index];
    if (!image->error.empty()) {
      if (state_->config.strict) throw Error(image->error);
      batch.skipped.push_back({sample, image->error});
      continue;
    }
    batch.samples.push_back(sample);
    batch.labels.push_back(state_->set.samples[sample].label);
    batch.images.insert(batch.images.end(), image->tensor.begin(), image->tensor.end());
  }
  return !batch.samples.empty();
}

}  // namespace gcvit::data
