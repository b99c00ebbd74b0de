// SPDX-License-Identifier: Apache-2.0
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "tests/image/blob_pictures.h"
#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;
using Indices = std::vector<std::size_t>;

/// Twenty photos of two classes, of which the given ones are broken.
struct Images : TemporaryFolder {
  ImageSet set;

  explicit Images(const Indices& broken) {
    for (std::size_t i = 0; i < 20; ++i) {
      const std::string name = std::string(i < 10 ? "a/" : "b/") + std::to_string(10 + i) + ".png";
      std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
      const bool is_broken = std::find(broken.begin(), broken.end(), i) != broken.end();
      write_text(*this / name, is_broken ? "no picture" : testing::blob_png(static_cast<unsigned>(i)));
    }
    set = open_image_set(*this / "");
  }
};

LoaderConfig small_config(std::size_t batch, int threads) {
  LoaderConfig config;
  config.augment.target.height = 16;
  config.augment.target.width = 24;
  config.batch = batch;
  config.threads = threads;
  return config;
}

Indices all_of(const ImageSet& set) {
  Indices order(set.samples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

TEST(Loader, BatchesFollowTheOrder) {
  const Images images({});
  const Indices order = {3, 19, 0, 7, 7, 12, 1};
  for (const int threads : {1, 2, 7}) {
    BatchLoader loader(images.set, order, 0, small_config(3, threads));
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(batch.samples, (Indices{3, 19, 0}));
    EXPECT_EQ(batch.labels, (std::vector<std::int32_t>{0, 1, 0}));
    EXPECT_EQ(batch.next_position, 3u);
    ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(batch.samples, (Indices{7, 7, 12}));
    ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(batch.samples, (Indices{1}));
    EXPECT_EQ(batch.images.size(), 16u * 24u * 3u);
    EXPECT_EQ(batch.next_position, 7u);
    EXPECT_TRUE(batch.skipped.empty());
    EXPECT_FALSE(loader.next(batch));
    EXPECT_FALSE(loader.next(batch));
  }
}

TEST(Loader, WithoutAugmentationAViewIsWhatEvaluationSees) {
  const Images images({});
  const LoaderConfig config = small_config(2, 1);
  BatchLoader loader(images.set, {5, 6}, 0, config);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  std::vector<float> expected(2 * view_size(config.augment));
  const std::span<float> views(expected);
  image::preprocess(decode_sample(images.set.samples[5]), config.augment.target, views.first(expected.size() / 2));
  image::preprocess(decode_sample(images.set.samples[6]), config.augment.target, views.last(expected.size() / 2));
  EXPECT_EQ(batch.images, expected);
}

TEST(Loader, TheNextGoodImageTakesABrokenOnesPlace) {
  const Images images({1, 2, 9, 18, 19});
  for (const int threads : {1, 3}) {
    BatchLoader loader(images.set, all_of(images.set), 0, small_config(4, threads));
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(batch.samples, (Indices{0, 3, 4, 5}));
    ASSERT_EQ(batch.skipped.size(), 2u);
    EXPECT_EQ(batch.skipped[0].sample, 1u);
    EXPECT_NE(batch.skipped[0].error.find("a/11.png: expected JPEG, PNG or WebP"), std::string::npos);
    EXPECT_EQ(batch.next_position, 6u);
    ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(batch.samples, (Indices{6, 7, 8, 10}));
    ASSERT_TRUE(loader.next(batch));
    ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(batch.samples, (Indices{15, 16, 17}));
    EXPECT_EQ(batch.skipped.size(), 2u);
    EXPECT_EQ(batch.next_position, 20u);
    EXPECT_FALSE(loader.next(batch));
  }
}

TEST(Loader, BrokenImagesAtTheEndAreSaidToo) {
  const Images images({2, 3});
  BatchLoader loader(images.set, {0, 1, 2, 3}, 0, small_config(2, 1));
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_TRUE(batch.skipped.empty());
  EXPECT_FALSE(loader.next(batch));
  EXPECT_EQ(batch.skipped.size(), 2u);
}

TEST(Loader, StrictStops) {
  const Images images({1});
  LoaderConfig config = small_config(2, 2);
  config.strict = true;
  BatchLoader loader(images.set, all_of(images.set), 0, config);
  Batch batch;
  EXPECT_NE(error_of([&] { loader.next(batch); }).find("a/11.png"), std::string::npos);
}

TEST(Loader, GoesOnFromAnyPosition) {
  const Images images({4});
  const Indices order = all_of(images.set);
  BatchLoader whole(images.set, order, 0, small_config(3, 2));
  Batch batch;
  for (std::size_t position = 0; whole.next(batch); position = batch.next_position) {
    BatchLoader resumed(images.set, order, position, small_config(3, 1));
    Batch again;
    ASSERT_TRUE(resumed.next(again));
    EXPECT_EQ(again.samples, batch.samples);
    EXPECT_EQ(again.images, batch.images);
    EXPECT_EQ(again.next_position, batch.next_position);
  }
  BatchLoader at_end(images.set, order, order.size(), small_config(3, 1));
  EXPECT_FALSE(at_end.next(batch));
}

TEST(Loader, RefusesWhatDoesNotFit) {
  const Images images({});
  EXPECT_NE(error_of([&] { BatchLoader(images.set, {0, 20}, 0, small_config(3, 1)); }).find("found 20"),
            std::string::npos);
  EXPECT_NE(error_of([&] { BatchLoader(images.set, {0}, 2, small_config(3, 1)); }).find("found 2"), std::string::npos);
  EXPECT_NE(error_of([&] { BatchLoader(images.set, {0}, 0, small_config(0, 1)); }).find("found 0"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
