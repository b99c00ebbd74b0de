// SPDX-License-Identifier: Apache-2.0
#include "data/splits.h"

#include <gtest/gtest.h>

#include "data/source_summary.h"
#include "tests/data/example_bytes.h"
#include "tests/data/files.h"
#include "tests/data/tar_bytes.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using Names = std::vector<std::string>;

/// "train - test " of names beside each other.
std::string splits(const Names& names) {
  std::string text;
  for (const auto& split : splits_of(names)) text += (split ? std::string(name_of(*split)) : "-") + " ";
  return text;
}

std::string error_for(const std::string& path, const OpenOptions& options = {}) {
  return error_of([&] { open_image_set(path, options); });
}

TEST(Splits, AreWholeWordsOfNames) {
  EXPECT_EQ(splits({"train", "Training", "TRAIN"}), "train train train ");
  EXPECT_EQ(splits({"val", "Valid", "validation", "eval", "EVALUATION"}),
            "validation validation validation validation validation ");
  EXPECT_EQ(splits({"test", "Testing"}), "test test ");
  EXPECT_EQ(splits({"imagenet1k-train-0000.tar", "seg_train", "val2017", "x.test.tar", "2017val"}),
            "train train validation test validation ");
  EXPECT_EQ(splits({"trains", "retrain", "evaluate", "tests", "valley", "latest", "", "étrain"}), "- - - - - - - - ");
}

TEST(Splits, WhatAllNamesSayIsTheDataSetsName) {
  EXPECT_EQ(splits({"test-drive-train-0.tar", "test-drive-val-0.tar"}), "train validation ");
  EXPECT_EQ(splits({"train-val", "train"}), "validation - ");
  EXPECT_EQ(splits({"train-val-0.tar"}), "- ");
  EXPECT_EQ(splits({"train-val-0.tar", "test-train-0.tar", "x-0.tar"}), "- - - ");
}

TEST(Splits, OfFolders) {
  const Files files({"Train/b/1.jpg", "Train/a/2.jpg", "VALID/a/3.jpg", "my_test/a/5.jpg", "my_test/c/6.jpg"});
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown_names(set), "Train/a/2.jpg=a Train/b/1.jpg=b VALID/a/3.jpg=a* ");
  EXPECT_EQ(set.classes, (Names{"a", "b"}));
  EXPECT_EQ(shown_names(open_image_set(files.root(), {.split = Split::kTest})), "my_test/a/5.jpg=a my_test/c/6.jpg=c ");
  EXPECT_EQ(shown_names(open_image_set(files.root(), {.split = Split::kValidation})), "VALID/a/3.jpg=a ");
  const Names said = describe(summarise(set));
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[0], files.root() + ": class folders: 3 photos of 2 classes: a 2, b 1");
  EXPECT_EQ(said[1], files.root() +
                         ": splits: Train (train): 2 photos, trains; VALID (validation): 1 photo, validates; my_test "
                         "(test): 2 photos, left out");
}

TEST(Splits, ATestFolderNeverTrainsNorValidates) {
  const Files files({"train/b/1.jpg", "test/b/5.jpg"});
  ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown_names(set), "train/b/1.jpg=b ");
  EXPECT_TRUE(set.validates.empty());
  EXPECT_TRUE(has(error_of([&] { restrict_to_validation(set); }), "--side test takes those of test"));
  ImageSet test = open_image_set(files.root(), {.split = Split::kTest});
  restrict_to_validation(test);
  EXPECT_EQ(shown_names(test), "test/b/5.jpg=b ");
  ImageSet train = open_image_set(files.root(), {.split = Split::kTrain});
  restrict_to_validation(train);
  EXPECT_EQ(train.samples.size(), 1u);
  EXPECT_TRUE(has(error_for(files.root(), {.split = Split::kValidation}),
                  "expected photos of the validation split, found only test, train"));
  const Files alone({"test/a/1.jpg"});
  EXPECT_TRUE(has(error_for(alone.root()), "found only test: those of a test split are taken with --side test"));
  const Files none({"a/1.jpg"});
  EXPECT_TRUE(has(error_for(none.root(), {.split = Split::kTest}), "found no splits"));
}

TEST(Splits, ImagesToBeTestedOnMayHaveNoClasses) {
  const Files files({"train/b/1.jpg", "train/a/1.jpg", "test/5.jpg", "test/6.jpg"});
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown_names(set), "train/a/1.jpg=a train/b/1.jpg=b ");
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "2 photos of the test split, such as test/5.jpg");
  // A folder that is no class is no class of another split either.
  const Files one({"train/b/1.jpg", "train/a/1.jpg", "val/a/1.jpg", "test/images/5.jpg"});
  const std::vector<std::string> classes = {"a", "b"};
  EXPECT_EQ(open_image_set(one.root()).classes, classes);
  EXPECT_EQ(open_image_set(one.root(), {.split = Split::kValidation}).classes, classes);
  EXPECT_EQ(open_image_set(one.root(), {.split = Split::kTrain}).classes, classes);
  const Files flat({"train/b/1.jpg", "val/5.jpg"});
  EXPECT_TRUE(has(error_for(flat.root()), "val: expected class folders, as those beside it have, found none"));
}

TEST(Splits, ClassesWithNamesOfSidesStayClasses) {
  EXPECT_EQ(shown(open_image_set(Files({"train/1.jpg", "bus/2.jpg", "car/3.jpg"}).root())),
            "bus/2.jpg=0 car/3.jpg=1 train/1.jpg=2 ");
  EXPECT_EQ(shown(open_image_set(Files({"train/x/1.jpg", "bus/2.jpg"}).root())), "bus/2.jpg=0 train/x/1.jpg=1 ");
  EXPECT_EQ(shown(open_image_set(Files({"train/1.jpg", "test/2.jpg"}).root())), "test/2.jpg=0 train/1.jpg=1 ");
}

TEST(Splits, BesideFoldersThatAreNoneAreSaid) {
  EXPECT_TRUE(has(
      error_for(Files({"seg_train/seg_train/a/1.jpg", "seg_test/seg_test/a/2.jpg", "seg_pred/seg_pred/3.jpg"}).root()),
      "\"seg_pred\": expected a folder that is named after a split, as \"seg_train\" and \"seg_test\" are"));
  EXPECT_TRUE(has(error_for(Files({"train/a/1.jpg", "val/a/2.jpg", "more/3.jpg"}).root()), "\"more\": expected"));
  const ImageSet one = open_image_set(Files({"train/x/1.jpg", "train/y/2.jpg", "unlabelled/3.jpg"}).root());
  EXPECT_EQ(one.classes.size(), 2u);
  ASSERT_EQ(one.notices.size(), 1u);
  EXPECT_TRUE(
      has(one.notices[0], "\"train\" is taken as a class, as \"unlabelled\" beside it is named after no split"));
  EXPECT_TRUE(open_image_set(Files({"train/1.jpg", "train/y/2.jpg", "bus/3.jpg"}).root()).notices.empty());
}

TEST(Splits, AreTakenWhereNothingTrains) {
  const Files files({"train/a/1.jpg", "train/b/2.jpg"});
  ImageSet set = open_image_set(files.root());
  restrict_to_validation(set);
  ASSERT_EQ(set.splits.size(), 1u);
  EXPECT_EQ(set.splits[0].use, SplitUse::kTaken);
  EXPECT_EQ(set.samples.size(), 2u);
  files.add("val/a/3.jpg");
  files.add("val/a/4.jpg");
  files.add("list.txt", "train/a/1.jpg\nval/a/3.jpg\n");
  set = open_image_set(files.root());
  restrict_to_list(set, files / "list.txt");
  ASSERT_EQ(set.splits.size(), 2u);
  EXPECT_EQ(set.splits[0].use, SplitUse::kTaken);
  EXPECT_EQ(set.splits[1].use, SplitUse::kTaken);
  // What the list leaves of them neither trains nor validates.
  EXPECT_EQ(set.splits[0].images, 1u);
  EXPECT_EQ(set.splits[1].images, 1u);
  EXPECT_TRUE(set.validates.empty());
  EXPECT_EQ(describe(summarise(set)).size(), 2u);
}

TEST(Splits, TwoFoldersForOneAreRefused) {
  EXPECT_TRUE(has(error_for(Files({"train/a/1.jpg", "val/a/1.jpg", "Validation/a/1.jpg"}).root()),
                  "expected one folder for the validation split, found \"Validation\" and \"val\""));
}

TEST(Splits, ThatNobodyRecognisesArentClasses) {
  const Files files({"one/a/1.jpg", "one/b/2.jpg", "two/a/3.jpg", "two/b/4.jpg", "two/deep/"});
  EXPECT_TRUE(has(error_for(files.root()), "\"one\" and \"two\": expected a folder for each class, found the same 2"));
  EXPECT_TRUE(
      has(error_for(Files({"train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg", "meta/x.jpg"}).root()),
          "\"train\" and \"val\": expected a folder for each class"));
  EXPECT_TRUE(has(error_for(Files({"one/a/1.jpg", "one/b/2.jpg", "one/c/2.jpg", "two/a/3.jpg", "two/c/4.jpg"}).root()),
                  "\"one\" and \"two\": expected a folder for each class, found the same 2"));
  EXPECT_EQ(open_image_set(Files({"one/a/1.jpg", "one/b/2.jpg", "two/a/3.jpg", "two/c/4.jpg"}).root()).classes.size(),
            2u);
  // A layer that all classes have, or photos beside the folders: those are classes.
  EXPECT_EQ(open_image_set(Files({"n01/images/1.jpg", "n02/images/1.jpg"}).root()).classes.size(), 2u);
  EXPECT_EQ(
      open_image_set(Files({"a/x/1.jpg", "a/y/1.jpg", "a/1.jpg", "b/x/1.jpg", "b/y/1.jpg"}).root()).classes.size(), 2u);
}

TEST(Splits, OfShards) {
  const Files files;
  files.add("imagenet1k-train-0000.tar", shard_of("a", "x"));
  files.add("imagenet1k-train-0001.tar", shard_of("b", "y"));
  files.add("imagenet1k-validation-00.tar", shard_of("c", "x"));
  files.add("imagenet1k-test-00.tar", "nobody looks at it");
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(
      shown_names(set),
      "imagenet1k-train-0000.tar/a.jpg=x imagenet1k-train-0001.tar/b.jpg=y imagenet1k-validation-00.tar/c.jpg=x* ");
  EXPECT_EQ(describe(summarise(set))[1], files.root() +
                                             ": splits: train: 2 shards, 2 photos, trains; validation: 1 shard, 1 "
                                             "photo, validates; test: 1 shard, left out");
  EXPECT_EQ(describe(set.left_out[0]), "1 shard of the test split, such as imagenet1k-test-00.tar");

  // A shard that is named itself is what is wanted.
  EXPECT_TRUE(open_image_set(files / "imagenet1k-validation-00.tar").validates.empty());
  EXPECT_EQ(open_image_set(files / "imagenet1k-validation-00.tar", {.split = Split::kValidation}).samples.size(), 1u);
  EXPECT_TRUE(has(error_for(files / "imagenet1k-validation-00.tar", {.split = Split::kTest}), "found only validation"));

  files.add("more.tar", shard_of("d", "x"));
  EXPECT_TRUE(has(error_for(files.root()), "more.tar: expected one of train, val and test in its name"));
  const Files pool;
  pool.add("train-0.tar", shard_of("a", "x"));
  pool.add("more.tar", shard_of("d", "x"));
  EXPECT_EQ(open_image_set(pool.root()).samples.size(), 2u);
}

TEST(Splits, AShardWithoutOneBesideThoseThatTrainIsSaid) {
  const Files files;
  files.add("x-train-0.tar", shard_of("a", "x"));
  files.add("x-train-1.tar", shard_of("b", "x"));
  EXPECT_TRUE(open_image_set(files.root()).notices.empty());
  files.add("x-dev-0.tar", shard_of("c", "x"));
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(set.samples.size(), 3u);
  ASSERT_EQ(set.notices.size(), 1u);
  EXPECT_TRUE(
      has(set.notices[0], ": x-dev-0.tar is taken as x-train-0.tar is, though its name has none of train, val"));
}

TEST(Splits, OfShardsInFolders) {
  const Files files;
  const auto record = [](int label) {
    return records_of({example_of(
        {{"image", bytes_feature("photo")}, {"class", packed_feature({static_cast<std::uint64_t>(label)})}})});
  };
  files.add("train/00-16.tfrec", record(0) + record(1));
  files.add("val/00-4.tfrec", record(1));
  files.add("test/00-9.tfrec", records_of({example_of({{"image", bytes_feature("photo")}})}));
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown_names(set), "train/00-16.tfrec/000000=0 train/00-16.tfrec/000001=1 val/00-4.tfrec/000000=1* ");
  EXPECT_TRUE(has(error_for(files.root(), {.split = Split::kTest}),
                  "test/00-9.tfrec: record 0: expected a feature of one class"));
  files.add("eval/00-4.tfrec", record(1));
  EXPECT_TRUE(has(error_for(files.root()), "expected one folder for the validation split"));
  files.add("other/x.tar", shard_of("a", "x"));
  EXPECT_TRUE(has(error_for(files.root()), "expected photos"));
}

TEST(Splits, OfTensorFlowsShards) {
  const Files files;
  const std::string record = records_of({example_of({{"image", bytes_feature("p")}, {"label", integer_feature(0)}})});
  files.add("flowers-train.tfrecord-00000-of-00001", record);
  files.add("flowers-test.tfrecord-00000-of-00001", record);
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(set.samples.size(), 1u);
  EXPECT_TRUE(set.validates.empty());
  EXPECT_EQ(open_image_set(files.root(), {.split = Split::kTest}).samples[0].name,
            "flowers-test.tfrecord-00000-of-00001/000000");
}

TEST(Splits, OfLists) {
  const Files files;
  files.add(
      "list.csv",
      "path,label,split\na.jpg,x,train\nb.jpg,y,Training\nc.jpg,x,valid\nd.jpg,y, eval \ne.jpg,x,test\nf.jpg,y,\n");
  EXPECT_EQ(shown_names(open_image_set(files / "list.csv")), "a.jpg=x b.jpg=y c.jpg=x* d.jpg=y* f.jpg=y ");
  EXPECT_EQ(shown_names(open_image_set(files / "list.csv", {.split = Split::kTest})), "e.jpg=x ");
  files.add("test.csv", "a.jpg,x,test\nb.jpg,y,test\n");
  EXPECT_TRUE(has(error_for(files / "test.csv"), "found only test"));
  files.add("train.csv", "a.jpg,x,train\nb.jpg,y,train\nc.jpg,y,testing\n");
  EXPECT_EQ(shown_names(open_image_set(files / "train.csv")), "a.jpg=x b.jpg=y ");
  EXPECT_TRUE(open_image_set(files / "train.csv").validates.empty());
  files.add("plain.csv", "a.jpg,x\n");
  EXPECT_TRUE(has(error_for(files / "plain.csv", {.split = Split::kTest}), "found no splits"));
}

}  // namespace
}  // namespace gcvit::data
