// SPDX-License-Identifier: Apache-2.0
#include "data/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;
using Indices = std::vector<std::size_t>;

/// Class folders with files whose contents are given.
struct Images : TemporaryFolder {
  void add(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    write_text(*this / name, content);
  }
  void add_class(const std::string& name, int count) const {
    for (int i = 0; i < count; ++i) add(name + "/" + std::to_string(i) + ".jpg", name + std::to_string(i));
  }
  ImageSet open() const { return open_image_set(*this / ""); }
};

std::size_t count_of(const ImageSet& set, const Indices& side, std::int32_t label) {
  return static_cast<std::size_t>(
      std::count_if(side.begin(), side.end(), [&](std::size_t i) { return set.samples[i].label == label; }));
}

std::set<std::string> contents_of(const ImageSet& set, const Indices& side) {
  std::set<std::string> contents;
  for (const std::size_t i : side) contents.insert(weights::read_text(set.samples[i].file));
  return contents;
}

TEST(Partition, StratifiedTakesItsShareOfEachClass) {
  const Images images;
  images.add_class("a", 100);
  images.add_class("b", 31);
  images.add_class("c", 2);
  images.add_class("d", 1);
  const ImageSet set = images.open();
  const Partition split = split_stratified(set, 0.1, 42);
  EXPECT_EQ(split.train.size() + split.validation.size(), 134u);
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
  EXPECT_TRUE(std::is_sorted(split.validation.begin(), split.validation.end()));
  EXPECT_EQ(count_of(set, split.validation, 0), 10u);
  EXPECT_EQ(count_of(set, split.validation, 1), 3u);
  EXPECT_EQ(count_of(set, split.validation, 2), 1u);  // one at least
  EXPECT_EQ(count_of(set, split.validation, 3), 0u);  // never the only one
  EXPECT_EQ(split_stratified(set, 0.1, 42).validation, split.validation);
  EXPECT_NE(split_stratified(set, 0.1, 43).validation, split.validation);
  EXPECT_TRUE(split_stratified(set, 0.0, 42).validation.empty());
  EXPECT_FALSE(split_stratified(set, 0.99, 42).train.empty());
}

TEST(Partition, IdenticalImagesLieOnOneSide) {
  const Images images;
  for (int i = 0; i < 120; ++i) {
    images.add((i % 2 == 0 ? "a/" : "b/") + std::to_string(i) + ".jpg", "photo " + std::to_string(i % 37));
  }
  const ImageSet set = images.open();
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    const Partition split = split_stratified(set, 0.3, seed);
    const std::set<std::string> train = contents_of(set, split.train);
    for (const std::string& content : contents_of(set, split.validation)) EXPECT_FALSE(train.contains(content));
    EXPECT_NEAR(static_cast<double>(split.validation.size()), 36.0, 8.0);
  }
}

TEST(Partition, NamesDontMatterAndNewImagesMoveFew) {
  const Images images;
  images.add_class("a", 200);
  images.add_class("b", 200);
  const Images renamed;
  for (const std::string name : {"a", "b"}) {
    for (int i = 0; i < 200; ++i) renamed.add(name + "/x" + std::to_string(999 - i) + ".jpg", name + std::to_string(i));
    for (int i = 0; i < 10; ++i)
      renamed.add(name + "/new" + std::to_string(i) + ".jpg", name + "n" + std::to_string(i));
  }
  const ImageSet before = images.open();
  const ImageSet after = renamed.open();
  const auto old_side = contents_of(before, split_stratified(before, 0.1, 1).validation);
  const auto new_side = contents_of(after, split_stratified(after, 0.1, 1).validation);
  std::size_t stayed = 0;
  for (const std::string& content : old_side) stayed += new_side.contains(content);
  EXPECT_EQ(old_side.size(), 40u);
  EXPECT_GE(stayed, 36u);
}

TEST(Partition, ImagesThatCantBeReadAreNoReasonToStop) {
  const Images images;
  images.add_class("a", 4);
  ImageSet set = images.open();
  set.samples[1].file = images / "gone";
  const Partition split = split_stratified(set, 0.25, 1);
  EXPECT_EQ(split.validation.size(), 1u);
  EXPECT_EQ(split.train.size(), 3u);
}

TEST(Partition, TheTutorialsShufflesAllOnce) {
  const Images images;
  images.add_class("a", 60);
  images.add_class("b", 31);
  const ImageSet set = images.open();
  const Partition split = split_tutorial(set, 0.1, 5);
  EXPECT_EQ(split.validation.size(), 9u);
  EXPECT_EQ(split.train.size(), 82u);
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
  EXPECT_NE(split_tutorial(set, 0.1, 6).validation, split.validation);
  EXPECT_GT(count_of(set, split.validation, 0), 0u);
  EXPECT_TRUE(split_tutorial(set, 0.0, 5).validation.empty());
}

TEST(Partition, MarksAreTaken) {
  const Images images;
  images.add_class("train/a", 2);
  images.add_class("val/a", 1);
  const Partition split = split_as_marked(images.open());
  EXPECT_EQ(split.train, (Indices{0, 1}));
  EXPECT_EQ(split.validation, (Indices{2}));
  const Images unmarked;
  unmarked.add_class("a", 2);
  EXPECT_NE(error_of([&] { split_as_marked(unmarked.open()); }).find("found none"), std::string::npos);
}

TEST(Partition, WhatCantBeTrainedOnIsSaid) {
  const Images images;
  images.add_class("a", 4);
  const ImageSet one = images.open();
  EXPECT_NE(error_of([&] { check_trainable(one, split_stratified(one, 0.0, 1), 5, false); }).find("found only \"a\""),
            std::string::npos);
  images.add_class("b", 1);
  images.add_class("c", 1);
  const ImageSet set = images.open();
  const Partition split = split_stratified(set, 0.0, 1);
  check_trainable(set, split, 3, false);
  EXPECT_NE(error_of([&] { check_trainable(set, split, 2, false); }).find("\"c/0.jpg\": expected a class below 2"),
            std::string::npos);
  EXPECT_NE(error_of([&] { check_trainable(set, split, 3, true); }).find("photos to validate on"), std::string::npos);
  EXPECT_NE(
      error_of([&] { check_trainable(set, {{0, 1, 2, 3, 5}, {4}}, 3, true); }).find("class \"b\": expected a photo"),
      std::string::npos);
  EXPECT_NE(error_of([&] { split_stratified(set, 1.0, 1); }).find("found 1"), std::string::npos);
  EXPECT_NE(error_of([&] { split_tutorial(set, -0.5, 1); }).find("found -0.5"), std::string::npos);

  // Of a model's 1000 classes only those that the photos are of must be there.
  ImageSet adopted = set;
  remap_labels(adopted, std::vector<std::string>{"x", "b", "y", "a", "c"}, {});
  check_trainable(adopted, split, 5, false);
}

}  // namespace
}  // namespace gcvit::data
