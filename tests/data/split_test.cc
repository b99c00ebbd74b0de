// SPDX-License-Identifier: Apache-2.0
#include "data/split.h"

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
struct Photos : TemporaryFolder {
  void add(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    write_text(*this / name, content);
  }
  void add_class(const std::string& name, int count) const {
    for (int i = 0; i < count; ++i) add(name + "/" + std::to_string(i) + ".jpg", name + std::to_string(i));
  }
  PhotoSet open() const { return open_photo_set(*this / ""); }
};

std::size_t count_of(const PhotoSet& set, const Indices& side, std::int32_t label) {
  return static_cast<std::size_t>(
      std::count_if(side.begin(), side.end(), [&](std::size_t i) { return set.samples[i].label == label; }));
}

std::set<std::string> contents_of(const PhotoSet& set, const Indices& side) {
  std::set<std::string> contents;
  for (const std::size_t i : side) contents.insert(weights::read_text(set.samples[i].file));
  return contents;
}

TEST(Split, StratifiedTakesItsShareOfEachClass) {
  const Photos photos;
  photos.add_class("a", 100);
  photos.add_class("b", 31);
  photos.add_class("c", 2);
  photos.add_class("d", 1);
  const PhotoSet set = photos.open();
  const Split split = split_stratified(set, 0.1, 42);
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

TEST(Split, IdenticalPhotosLieOnOneSide) {
  const Photos photos;
  for (int i = 0; i < 120; ++i) {
    photos.add((i % 2 == 0 ? "a/" : "b/") + std::to_string(i) + ".jpg", "photo " + std::to_string(i % 37));
  }
  const PhotoSet set = photos.open();
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    const Split split = split_stratified(set, 0.3, seed);
    const std::set<std::string> train = contents_of(set, split.train);
    for (const std::string& content : contents_of(set, split.validation)) EXPECT_FALSE(train.contains(content));
    EXPECT_NEAR(static_cast<double>(split.validation.size()), 36.0, 8.0);
  }
}

TEST(Split, NamesDontMatterAndNewPhotosMoveFew) {
  const Photos photos;
  photos.add_class("a", 200);
  photos.add_class("b", 200);
  const Photos renamed;
  for (const std::string name : {"a", "b"}) {
    for (int i = 0; i < 200; ++i) renamed.add(name + "/x" + std::to_string(999 - i) + ".jpg", name + std::to_string(i));
    for (int i = 0; i < 10; ++i)
      renamed.add(name + "/new" + std::to_string(i) + ".jpg", name + "n" + std::to_string(i));
  }
  const PhotoSet before = photos.open();
  const PhotoSet after = renamed.open();
  const auto old_side = contents_of(before, split_stratified(before, 0.1, 1).validation);
  const auto new_side = contents_of(after, split_stratified(after, 0.1, 1).validation);
  std::size_t stayed = 0;
  for (const std::string& content : old_side) stayed += new_side.contains(content);
  EXPECT_EQ(old_side.size(), 40u);
  EXPECT_GE(stayed, 36u);
}

TEST(Split, PhotosThatCantBeReadAreNoReasonToStop) {
  const Photos photos;
  photos.add_class("a", 4);
  PhotoSet set = photos.open();
  set.samples[1].file = photos / "gone";
  const Split split = split_stratified(set, 0.25, 1);
  EXPECT_EQ(split.validation.size(), 1u);
  EXPECT_EQ(split.train.size(), 3u);
}

TEST(Split, TheTutorialsShufflesAllOnce) {
  const Photos photos;
  photos.add_class("a", 60);
  photos.add_class("b", 31);
  const PhotoSet set = photos.open();
  const Split split = split_tutorial(set, 0.1, 5);
  EXPECT_EQ(split.validation.size(), 9u);
  EXPECT_EQ(split.train.size(), 82u);
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
  EXPECT_NE(split_tutorial(set, 0.1, 6).validation, split.validation);
  EXPECT_GT(count_of(set, split.validation, 0), 0u);
  EXPECT_TRUE(split_tutorial(set, 0.0, 5).validation.empty());
}

TEST(Split, MarksAreTaken) {
  const Photos photos;
  photos.add_class("train/a", 2);
  photos.add_class("val/a", 1);
  const Split split = split_as_marked(photos.open());
  EXPECT_EQ(split.train, (Indices{0, 1}));
  EXPECT_EQ(split.validation, (Indices{2}));
  const Photos unmarked;
  unmarked.add_class("a", 2);
  EXPECT_NE(error_of([&] { split_as_marked(unmarked.open()); }).find("found none"), std::string::npos);
}

TEST(Split, WhatCantBeTrainedOnIsSaid) {
  const Photos photos;
  photos.add_class("a", 4);
  const PhotoSet one = photos.open();
  EXPECT_NE(error_of([&] { check_trainable(one, split_stratified(one, 0.0, 1), 5, false); }).find("found only \"a\""),
            std::string::npos);
  photos.add_class("b", 1);
  photos.add_class("c", 1);
  const PhotoSet set = photos.open();
  const Split split = split_stratified(set, 0.0, 1);
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
  PhotoSet adopted = set;
  adopt_classes(adopted, std::vector<std::string>{"x", "b", "y", "a", "c"}, {});
  check_trainable(adopted, split, 5, false);
}

}  // namespace
}  // namespace gcvit::data
