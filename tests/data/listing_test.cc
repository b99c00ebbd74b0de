// SPDX-License-Identifier: Apache-2.0
#include "data/listing.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;
using Names = std::vector<std::string>;

void touch(const std::string& path) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_text(path, "x");
}

TEST(Listing, KnowsImagesByTheirEndings) {
  for (const char* name : {"a.jpg", "a.JPG", "b.jpeg", "c.Png", "d.WEBP", "x.y.jpg", "e.JFIF", "f.jpe"})
    EXPECT_TRUE(is_image_name(name)) << name;
  for (const char* name : {"a.gif", "jpg", "a.jpg.txt", "a.jp", "", ".jpg", "._a.jpg"})
    EXPECT_FALSE(is_image_name(name)) << name;
}

TEST(Listing, FindsImagesInAllFoldersBelowSorted) {
  const TemporaryFolder folder;
  for (const char* name :
       {"b.jpg", "a/z.png", "a/B.webp", "a-b/1.jpg", "a/deep/er/1.jpeg", "notes.txt", ".hidden/1.jpg"}) {
    touch(folder / name);
  }
  EXPECT_EQ(list_below(folder / "").images, (Names{"a-b/1.jpg", "a/B.webp", "a/deep/er/1.jpeg", "a/z.png", "b.jpg"}));
  EXPECT_EQ(folders_in(folder / ""), (Names{"a", "a-b"}));
}

TEST(Listing, FollowsLinksButNotInCircles) {
  const TemporaryFolder folder;
  touch(folder / "a/1.jpg");
  touch(folder / "elsewhere/2.jpg");
  std::filesystem::create_directory_symlink(folder / "a", folder / "a/again");
  std::filesystem::create_directory_symlink(folder / "elsewhere", folder / "a/linked");
  EXPECT_EQ(list_below(folder / "a").images, (Names{"1.jpg", "linked/2.jpg"}));
}

TEST(Listing, SaysWhatIsWrongWithAFolder) {
  const TemporaryFolder folder;
  touch(folder / "file.jpg");
  EXPECT_EQ(error_of([&] { list_below(folder / "none"); }),
            "[data] " + (folder / "none") + ": expected a folder, found nothing");
  EXPECT_EQ(error_of([&] { folders_in(folder / "file.jpg"); }),
            "[data] " + (folder / "file.jpg") + ": expected a folder, found a file");
}

TEST(Listing, ExpandsFoldersAndListsInTheirOrder) {
  const TemporaryFolder folder;
  touch(folder / "f/2.jpg");
  touch(folder / "f/1.png");
  touch(folder / "x.bin");
  write_text(folder / "list", "one.jpg\r\n\n" + (folder / "f") + "\ntwo words.jpg");
  EXPECT_EQ(expand_image_arguments({"-", folder / "x.bin", folder / "f/", "@" + (folder / "list"), "missing.jpg"}),
            (Names{"-", folder / "x.bin", folder / "f/1.png", folder / "f/2.jpg", "one.jpg", folder / "f/1.png",
                   folder / "f/2.jpg", "two words.jpg", "missing.jpg"}));
}

TEST(Listing, RefusesFoldersWithoutImagesAndBadLists) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "empty");
  write_text(folder / "blank", "\n\r\n");
  EXPECT_NE(error_of([&] {
              expand_image_arguments({folder / "empty"});
            }).find("expected photos (jpg, jpeg, jpe, jfif, png, webp)"),
            std::string::npos);
  EXPECT_NE(
      error_of([&] { expand_image_arguments({"@" + (folder / "blank")}); }).find("expected a path a line, found none"),
      std::string::npos);
  EXPECT_NE(error_of([&] { expand_image_arguments({"@" + (folder / "no")}); }).find("found nothing"),
            std::string::npos);
  EXPECT_NE(error_of([&] { expand_image_arguments({"@" + (folder / "empty")}); }).find("found a folder"),
            std::string::npos);
}

TEST(Listing, AListIsReadToItsEndOrRefused) {
  const TemporaryFolder folder;
  write_text(folder / "list",
             "\xef\xbb\xbf"
             "a.jpg\r\nb.jpg");
  EXPECT_EQ(read_lines(folder / "list"), (Names{"a.jpg", "b.jpg"}));
  EXPECT_EQ(lines_of("a\n\nb\n", "list"), (Names{"a", "b"}));
  write_text(folder / "zero", std::string_view("a.jpg\nb\0.jpg\n", 14));
  EXPECT_EQ(error_of([&] { read_lines(folder / "zero"); }),
            "[data] " + (folder / "zero") + ": line 2: has a zero byte in it");
  EXPECT_EQ(error_of([&] { read_lines("/proc/self/mem"); }),
            "[data] /proc/self/mem: can't be read: Input/output error");
  write_text(folder / "lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  EXPECT_EQ(error_of([&] { read_lines(folder / "lfs"); }),
            "[data] " + (folder / "lfs") +
                ": expected a list, found a Git LFS pointer (fetch the file itself with `git lfs pull`)");
  write_text(folder / "long", std::string(100'000, 'a'));
  EXPECT_NE(error_of([&] { read_lines(folder / "long"); }).find("line 1: expected at most 65536 bytes"),
            std::string::npos);
}

TEST(Listing, CountsFilesOfOtherKinds) {
  const TemporaryFolder folder;
  for (const char* name : {"a/1.jpg", "a/1.BMP", "a/b/2.bmp", "a/notes", "a/.hidden.gif", "__MACOSX/a/1.gif"}) {
    touch(folder / name);
  }
  const Listing listing = list_below(folder / "");
  EXPECT_EQ(listing.images, (Names{"a/1.jpg"}));
  const std::vector<LeftOut> left_out = other_kinds(listing.others, "x/");
  ASSERT_EQ(left_out.size(), 1u);
  EXPECT_EQ(describe(left_out[0]), "3 files of other kinds (no ending 1, .bmp 2), such as x/a/notes");
  Names said;
  expand_image_arguments({folder / "a"}, [&](const std::string& sentence) { said.push_back(sentence); });
  EXPECT_EQ(said, (Names{"[data] " + (folder / "a") +
                         ": left out: 3 files of other kinds (no ending 1, .bmp 2), such as notes"}));
  touch(folder / "gifs/1.gif");
  EXPECT_NE(error_of([&] { expand_image_arguments({folder / "gifs"}); }).find("found 1 file of other kinds (.gif 1)"),
            std::string::npos);
}

TEST(Listing, AMarkBeforeAListOfArgumentsIsNoPartOfAPath) {
  const TemporaryFolder folder;
  write_text(folder / "bom.lst",
             "\xef\xbb\xbf"
             "csv/p/daisy/00.jpg\n");
  EXPECT_EQ(expand_image_arguments({"@" + (folder / "bom.lst")}), (Names{"csv/p/daisy/00.jpg"}));
}

}  // namespace
}  // namespace gcvit::data
