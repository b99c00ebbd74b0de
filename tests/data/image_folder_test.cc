// SPDX-License-Identifier: Apache-2.0
#include "data/image_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;
using Names = std::vector<std::string>;

/// A folder with these (empty) files in it.
struct Files : TemporaryFolder {
  explicit Files(const Names& names) {
    for (const std::string& name : names) {
      const std::filesystem::path path = *this / name;
      std::filesystem::create_directories(path.parent_path());
      if (!name.ends_with('/')) write_text(path.string(), "");
    }
  }
  std::string root() const { return *this / ""; }
};

std::string shown(const ImageFolder& folder) {
  std::string text;
  for (const LabelledPhoto& photo : folder.photos) text += photo.path + "=" + std::to_string(photo.label) + " ";
  return text;
}

TEST(ImageFolder, FoldersAreTheClassesTheyAreNamedAfter) {
  const Files files(
      {"Egyptian cat/b.JPG", "Egyptian cat/a.png", "ROSE/x.webp", "tulip/deep/y.jpeg", "tulip/notes.txt"});
  const ImageFolder folder = read_image_folder(files.root(), Names{"rose", "tulip", "daisy", "egyptian_cat"}, {});
  EXPECT_EQ(shown(folder), "Egyptian cat/a.png=3 Egyptian cat/b.JPG=3 ROSE/x.webp=0 tulip/deep/y.jpeg=1 ");
  EXPECT_TRUE(folder.notices.empty());
}

TEST(ImageFolder, WordNetIdsAreNamesToo) {
  const Files files({"n02/1.jpg", "n01/1.jpg"});
  const ImageFolder folder =
      read_image_folder(files.root(), Names{"crane", "tench", "crane"}, Names{"n03", "n01", "n02"});
  EXPECT_EQ(shown(folder), "n01/1.jpg=1 n02/1.jpg=2 ");
}

TEST(ImageFolder, ANameOfTwoClassesIsRefused) {
  const Files files({"crane/1.jpg", "tench/1.jpg"});
  EXPECT_NE(error_of([&] {
              read_image_folder(files.root(), Names{"crane", "tench", "crane"}, Names{"n03", "n01", "n02"});
            }).find("folder \"crane\": two classes have that name; name it by its WordNet id"),
            std::string::npos);
}

TEST(ImageFolder, SortedFoldersAreClassesWhenNoneHasAName) {
  const Files files({"b/1.jpg", "a/1.jpg", "c/"});
  const ImageFolder folder = read_image_folder(files.root(), Names{"x", "y", "z", "w"}, {});
  EXPECT_EQ(shown(folder), "a/1.jpg=0 b/1.jpg=1 ");
  ASSERT_EQ(folder.notices.size(), 1u);
  EXPECT_NE(folder.notices[0].find("sorted folders are taken as classes 0 to 2, \"a\" as \"x\""), std::string::npos)
      << folder.notices[0];
}

TEST(ImageFolder, AFolderThatMatchesNothingBesideOthersThatDoIsRefused) {
  const Files files({"rose/1.jpg", "weeds/1.jpg"});
  EXPECT_NE(error_of([&] {
              read_image_folder(files.root(), Names{"rose", "tulip"}, {});
            }).find("folder \"weeds\": expected a class of the model, as 1 other folders are"),
            std::string::npos);
}

TEST(ImageFolder, MoreFoldersThanClassesAreRefused) {
  const Files files({"a/1.jpg", "b/1.jpg", "c/1.jpg"});
  EXPECT_NE(error_of([&] {
              read_image_folder(files.root(), Names{"x", "y"}, {});
            }).find("expected at most 2 class folders, found 3"),
            std::string::npos);
}

TEST(ImageFolder, PhotosBesideTheFoldersAreLeftOutAloud) {
  const Files files({"rose/1.jpg", "stray.jpg", "readme.txt"});
  const ImageFolder folder = read_image_folder(files.root(), Names{"rose"}, {});
  EXPECT_EQ(shown(folder), "rose/1.jpg=0 ");
  ASSERT_EQ(folder.notices.size(), 1u);
  EXPECT_NE(folder.notices[0].find("1 photos beside the class folders"), std::string::npos);
}

TEST(ImageFolder, NothingToReadIsAnError) {
  const Files flat({"1.jpg"});
  const Files empty({"rose/notes.txt"});
  EXPECT_NE(error_of([&] { read_image_folder(flat.root(), Names{"rose"}, {}); }).find("a folder for each class"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_image_folder(empty.root(), Names{"rose"}, {}); }).find("expected photos"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_image_folder(empty / "none", Names{"rose"}, {}); }).find("found nothing"),
            std::string::npos);
}

TEST(ImageFolder, AListKeepsWhatItNames) {
  const Files files({"rose/1.jpg", "rose/2.jpg", "tulip/3.jpg"});
  const Names classes{"rose", "tulip"};
  write_text(files / "list.txt", "tulip/3.jpg\r\nrose/2.jpg\n");
  ImageFolder folder = read_image_folder(files.root(), classes, {});
  restrict_to_list(folder, files / "list.txt");
  EXPECT_EQ(shown(folder), "rose/2.jpg=0 tulip/3.jpg=1 ");

  write_text(files / "wrong.txt", "rose/1.jpg\nrose/9.jpg\n");
  ImageFolder again = read_image_folder(files.root(), classes, {});
  EXPECT_NE(error_of([&] { restrict_to_list(again, files / "wrong.txt"); }).find("\"rose/9.jpg\""), std::string::npos);
  write_text(files / "blank.txt", "\n");
  EXPECT_NE(error_of([&] { restrict_to_list(again, files / "blank.txt"); }).find("found none"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
