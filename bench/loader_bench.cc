// SPDX-License-Identifier: Apache-2.0
// How many photos a second the training loader makes ready, alone, by threads:
//   GCVIT_PHOTOS=flower_images build/release/bench/loader_bench
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "data/loader.h"
#include "data/sampler.h"

namespace {

using namespace gcvit::data;

constexpr std::size_t kImages = 1000;

const ImageSet& images() {
  static const ImageSet set = open_image_set(std::getenv("GCVIT_PHOTOS"));
  return set;
}

/// The same photos for every recipe, the set's first ones in a shuffled order.
std::vector<std::size_t> some_images() {
  std::vector<std::size_t> all(images().samples.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::vector<std::size_t> order = epoch_order(all, 1, 0, true);
  order.resize(std::min(order.size(), kImages));
  return order;
}

void load(benchmark::State& state, const LoaderConfig& config) {
  if (std::getenv("GCVIT_PHOTOS") == nullptr) return state.SkipWithError("GCVIT_PHOTOS: expected a set of photos");
  const std::vector<std::size_t> order = some_images();
  std::size_t count = 0;
  for (auto _ : state) {
    BatchLoader loader(images(), order, 0, config);
    for (Batch batch; loader.next(batch);) count += batch.samples.size();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(count));
}

LoaderConfig config_of(Augment kind, const benchmark::State& state) {
  LoaderConfig config;
  config.augment.kind = kind;
  config.threads = static_cast<int>(state.range(0));
  config.augment.target.height = config.augment.target.width = static_cast<std::int32_t>(state.range(1));
  return config;
}

void loader_none(benchmark::State& state) { load(state, config_of(Augment::kNone, state)); }

void loader_flip(benchmark::State& state) { load(state, config_of(Augment::kFlip, state)); }

/// Random crops, flips, RandAugment, erasing.
void loader_randaug(benchmark::State& state) {
  LoaderConfig config = config_of(Augment::kRandAugment, state);
  config.augment.rrc_scale = {0.35, 1.0};
  config.augment.random_erasing = 0.25;
  load(state, config);
}

/// Random crops of whole pictures, and of pictures decoded at the size that suits the crop.
void loader_crop_all_pixels(benchmark::State& state) {
  LoaderConfig config = config_of(Augment::kFlip, state);
  config.augment.rrc_scale = {0.35, 1.0};
  config.augment.reduced_decoding = false;
  load(state, config);
}

void loader_crop_reduced(benchmark::State& state) {
  LoaderConfig config = config_of(Augment::kFlip, state);
  config.augment.rrc_scale = {0.35, 1.0};
  load(state, config);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "size"})
      ->Args({1, 224})
      ->Args({2, 224})
      ->Args({2, 64})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

BENCHMARK(loader_none)->Apply(sizes);
BENCHMARK(loader_flip)->Apply(sizes);
BENCHMARK(loader_randaug)->Apply(sizes);
BENCHMARK(loader_crop_all_pixels)->Apply(sizes);
BENCHMARK(loader_crop_reduced)->Apply(sizes);

}  // namespace
