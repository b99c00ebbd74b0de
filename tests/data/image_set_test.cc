// SPDX-License-Identifier: Apache-2.0
#include "data/image_set.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/data/files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::write_text;
using Names = std::vector<std::string>;

/// The photos with the classes of a model.
ImageSet open_for(const std::string& path, const Names& classes, const Names& wordnet_ids = {}, bool by_index = false) {
  ImageSet set = open_image_set(path);
  remap_labels(set, classes, wordnet_ids, by_index);
  return set;
}

TEST(ImageSet, FoldersAreTheClassesTheyAreNamedAfter) {
  const Files files(
      {"Egyptian cat/b.JPG", "Egyptian cat/a.png", "ROSE/x.webp", "tulip/deep/y.jpeg", "tulip/notes.txt"});
  const ImageSet folder = open_for(files.root(), Names{"rose", "tulip", "daisy", "egyptian_cat"});
  EXPECT_EQ(shown(folder), "Egyptian cat/a.png=3 Egyptian cat/b.JPG=3 ROSE/x.webp=0 tulip/deep/y.jpeg=1 ");
  EXPECT_TRUE(folder.notices.empty());
}

TEST(ImageSet, WordNetIdsAreNamesToo) {
  const Files files({"n02/1.jpg", "n01/1.jpg"});
  const ImageSet folder = open_for(files.root(), Names{"crane", "tench", "crane"}, Names{"n03", "n01", "n02"});
  EXPECT_EQ(shown(folder), "n01/1.jpg=1 n02/1.jpg=2 ");
}

TEST(ImageSet, ANameOfTwoClassesIsRefused) {
  const Files files({"crane/1.jpg", "tench/1.jpg"});
  EXPECT_NE(error_of([&] {
              open_for(files.root(), Names{"crane", "tench", "crane"}, Names{"n03", "n01", "n02"});
            }).find("class \"crane\": two classes of the model have that name; name it by its WordNet id"),
            std::string::npos);
}

TEST(ImageSet, SortedFoldersAreClassesByIndexAlone) {
  const Files files({"b/1.jpg", "a/1.jpg", "c/"});
  const Names classes{"x", "y", "z", "w"};
  EXPECT_NE(error_of([&] { open_for(files.root(), classes); })
                .find("class \"a\": expected a class of the model, such as \"x\", found a match for none of 3 classes; "
                      "gcvit eval --by-index takes them by their order"),
            std::string::npos);
  const ImageSet folder = open_for(files.root(), classes, {}, true);
  EXPECT_EQ(shown(folder), "a/1.jpg=0 b/1.jpg=1 ");
  ASSERT_EQ(folder.notices.size(), 1u);
  EXPECT_NE(folder.notices[0].find("classes are taken as 0 to 2 by their order, \"a\" as \"x\""), std::string::npos)
      << folder.notices[0];
}

TEST(ImageSet, AFolderThatMatchesNothingBesideOthersThatDoIsRefused) {
  const Files files({"rose/1.jpg", "weeds/1.jpg"});
  EXPECT_NE(error_of([&] {
              open_for(files.root(), Names{"rose", "tulip"});
            }).find("class \"weeds\": expected a class of the model, as another is"),
            std::string::npos);
}

TEST(ImageSet, MoreFoldersThanClassesAreRefused) {
  const Files files({"a/1.jpg", "b/1.jpg", "c/1.jpg"});
  EXPECT_NE(error_of([&] {
              open_for(files.root(), Names{"x", "y"}, {}, true);
            }).find("expected at most 2 classes, as the model has, found 3"),
            std::string::npos);
}

TEST(ImageSet, ImagesBesideTheFoldersAreLeftOutAloud) {
  const Files files({"rose/1.jpg", "stray.jpg", "readme.txt"});
  const ImageSet folder = open_for(files.root(), Names{"rose"});
  EXPECT_EQ(shown(folder), "rose/1.jpg=0 ");
  ASSERT_EQ(folder.left_out.size(), 1u);
  EXPECT_EQ(describe(folder.left_out[0]), "1 photo beside the class folders, such as stray.jpg");
}

TEST(ImageSet, NothingToReadIsAnError) {
  const Files flat({"1.jpg"});
  const Files empty({"rose/notes.txt"});
  EXPECT_NE(error_of([&] { open_for(flat.root(), Names{"rose"}); }).find("a folder for each class"), std::string::npos);
  EXPECT_NE(error_of([&] { open_for(empty.root(), Names{"rose"}); }).find("expected photos"), std::string::npos);
  EXPECT_NE(error_of([&] { open_for(empty / "none", Names{"rose"}); }).find("found nothing"), std::string::npos);
}

TEST(ImageSet, AListKeepsWhatItNames) {
  const Files files({"rose/1.jpg", "rose/2.jpg", "tulip/3.jpg"});
  const Names classes{"rose", "tulip"};
  write_text(files / "list.txt", "tulip/3.jpg\r\nrose/2.jpg\n");
  ImageSet folder = open_for(files.root(), classes);
  restrict_to_list(folder, files / "list.txt");
  EXPECT_EQ(shown(folder), "rose/2.jpg=0 tulip/3.jpg=1 ");

  write_text(files / "wrong.txt", "rose/1.jpg\nrose/9.jpg\n");
  ImageSet again = open_for(files.root(), classes);
  const std::vector<Sample>& samples = again.samples;
  validate_on_list(again, files / "list.txt");
  ASSERT_EQ(again.validates.size(), samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(again.validates[i], samples[i].name == "rose/2.jpg" || samples[i].name == "tulip/3.jpg");
  }
  EXPECT_NE(error_of([&] { validate_on_list(again, files / "wrong.txt"); }).find("\"rose/9.jpg\""), std::string::npos);
  EXPECT_NE(error_of([&] { restrict_to_list(again, files / "wrong.txt"); }).find("\"rose/9.jpg\""), std::string::npos);
  EXPECT_NE(error_of([&] { restrict_to_list(again, files / "wrong.txt"); }).find("found none (1 such line)"),
            std::string::npos);
  // As other programs write the same names.
  write_text(files / "same.txt", "./tulip/3.jpg\n" + (files / "rose/2.jpg") + " \nrose//1.jpg\n");
  ImageSet same = open_for(files.root(), classes);
  restrict_to_list(same, files / "same.txt");
  EXPECT_EQ(shown(same), "rose/1.jpg=0 rose/2.jpg=0 tulip/3.jpg=1 ");
  write_text(files / "blank.txt", "\n");
  EXPECT_NE(error_of([&] { restrict_to_list(again, files / "blank.txt"); }).find("found none"), std::string::npos);
}

TEST(ImageSet, ItsOwnClassesAreTheSortedFolders) {
  const Files files({"b/1.jpg", "a/1.jpg", "c/"});
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown(set), "a/1.jpg=0 b/1.jpg=1 ");
  EXPECT_EQ(set.classes, (Names{"a", "b", "c"}));
  EXPECT_EQ(set.present, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_FALSE(set.numbered);
  EXPECT_TRUE(set.validates.empty());
  EXPECT_EQ(set.samples[0].file, (files / "a/1.jpg"));
}

TEST(ImageSet, TrainAndValFoldersAreSides) {
  const Files files({"train/b/1.jpg", "train/a/2.jpg", "val/a/3.jpg", "val/c/4.jpg", "test/a/5.jpg"});
  ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown(set), "train/a/2.jpg=0 train/b/1.jpg=1 val/a/3.jpg=0 val/c/4.jpg=2 ");
  EXPECT_EQ(set.validates, (std::vector<bool>{false, false, true, true}));
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "1 photo of the test split, such as test/a/5.jpg");
  restrict_to_validation(set);
  ASSERT_EQ(set.left_out.size(), 2u);
  EXPECT_EQ(describe(set.left_out[1]), "2 photos of the train split, such as train/a/2.jpg");
  EXPECT_EQ(set.splits[1].use, SplitUse::kLeftOut);
  EXPECT_EQ(set.splits[2].use, SplitUse::kTaken);
  EXPECT_EQ(shown(set), "val/a/3.jpg=0 val/c/4.jpg=2 ");
  EXPECT_TRUE(set.validates.empty());
}

TEST(ImageSet, ClassesMayBeCalledTrainAndTest) {
  const Files files({"train/1.jpg", "test/2.jpg"});
  EXPECT_EQ(shown(open_image_set(files.root())), "test/2.jpg=0 train/1.jpg=1 ");
  const Files more({"train/a/1.jpg", "bus/2.jpg", "car/3.jpg"});
  EXPECT_EQ(open_image_set(more.root()).classes, (Names{"bus", "car", "train"}));
}

TEST(ImageSet, FilesOfOtherKindsAreCounted) {
  const Files files({"a/1.jpg", "a/2.bmp", "a/3.gif", "b/4.jfif", "b/deep/5.bmp", "b/6.JPE", "LICENSE.txt"});
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown(set), "a/1.jpg=0 b/4.jfif=1 b/6.JPE=1 ");
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "3 files of other kinds (.bmp 2, .gif 1), such as a/2.bmp");
  const Files none({"a/2.bmp"});
  EXPECT_NE(error_of([&] { open_image_set(none.root()); }).find("found 1 file of other kinds (.bmp 1)"),
            std::string::npos);
}

TEST(ImageSet, FilesBesideTheFoldersHideNoneInThem) {
  const Files files({"a/1.jpg", "a/2.bmp", "b/3.bmp", "b/4.jpg", "a.bmp", "x.txt", "z.tar", "y.tar"});
  const ImageSet set = open_image_set(files.root());
  ASSERT_EQ(set.left_out.size(), 2u);
  EXPECT_TRUE(has(describe(set.left_out[0]), "2 shards beside the class folders, such as y.tar"));
  EXPECT_EQ(describe(set.left_out[1]), "2 files of other kinds (.bmp 2), such as a/2.bmp");
}

TEST(ImageSet, AFolderThatIsReadOnceIsSaid) {
  const Files files({"a/1.jpg", "b/2.jpg"});
  std::filesystem::create_directory_symlink("a", files / "c");
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(shown(set), "a/1.jpg=0 b/2.jpg=1 ");
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "1 folder read already, by a link, such as c");
}

TEST(ImageSet, ASampleIsReadWhereItLies) {
  const Files files({"rose/1.jpg"});
  write_text(files / "shard", "0123456789");
  const auto text = [](const std::vector<std::byte>& bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(text(read_sample({"x", 0, files / "shard", 3, 4})), "3456");
  EXPECT_EQ(text(read_sample({"x", 0, files / "shard"})), "0123456789");
  EXPECT_EQ(text(read_sample({"x", 0, files / "rose/1.jpg"})), "");
  EXPECT_NE(error_of([&] {
              read_sample({"x.jpg", 0, files / "shard", 8, 4});
            }).find("shard: \"x.jpg\": expected a readable photo, found: an end after 2 of 4 bytes"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_sample({"x", 0, files / "none"}); }).find("no such file"), std::string::npos);
  EXPECT_NE(error_of([&] { read_sample({"x", 0, files / "rose"}); }).find("expected a regular file, found a directory"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_sample({"x", 0, files / "shard", 0, std::uint64_t{1} << 40}); }).find("1 GiB"),
            std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
