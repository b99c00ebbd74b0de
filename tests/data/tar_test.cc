// SPDX-License-Identifier: Apache-2.0
#include "data/tar.h"

#include <gtest/gtest.h>

#include <tuple>
#include <cstring>

#include "data/image_set.h"
#include "tests/data/files.h"
#include "tests/data/tar_bytes.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::read_text;
using weights::TemporaryFolder;
using weights::write_text;

std::string folder() { return std::string(GCVIT_TEST_DATA) + "/data/webdataset"; }
std::string image(const std::string& name) { return read_text(std::string(GCVIT_TEST_DATA) + "/image/decode/" + name); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const std::string kEnd(1024, '\0');

/// "path=content " of each member.
std::string shown(const std::string& archive) {
  std::string text;
  std::vector<std::byte> piece;
  const TarBytes bytes = [&](std::uint64_t offset, std::size_t size) {
    EXPECT_LE(offset + size, archive.size());
    piece.resize(size);
    std::memcpy(piece.data(), archive.data() + offset, size);
    return std::span<const std::byte>(piece);
  };
  read_tar(archive.size(), bytes, "x.tar", [&](const TarMember& member) {
    text += member.path + "=" + archive.substr(member.offset, member.size) + " ";
  });
  return text;
}

TEST(Tar, MembersAndWhatIsNone) {
  EXPECT_EQ(shown(member_of("a/b.txt", "hello") + member_of("folder/", "", '5') + member_of("link", "", '2') +
                  member_of("old", "x", '\0') + kEnd + "rubbish"),
            "a/b.txt=hello old=x ");
  EXPECT_EQ(shown(""), "");
  // Some writers leave out the end, and the last member's filling.
  EXPECT_EQ(shown(header_of("a", 3) + "abc"), "a=abc ");
}

TEST(Tar, LongNames) {
  const std::string name = std::string(150, 'n') + ".jpg";
  EXPECT_EQ(shown(member_of("@", name + '\0', 'L') + member_of("short", "1") + member_of("next", "2") + kEnd),
            name + "=1 next=2 ");
  const std::string line = "path=" + name + "\n";
  EXPECT_EQ(shown(member_of("@", "14 mtime=12.5\n164 " + line, 'x') + member_of("short", "1") + member_of("b", "2")),
            name + "=1 b=2 ");
  std::string prefixed = header_of("tail.jpg", 0);
  prefixed.replace(345, 4, "head");
  EXPECT_EQ(shown(with_checksum(prefixed)), "head/tail.jpg= ");
}

TEST(Tar, SizesBeyondOctal) {
  std::string binary = header_of("a", 0);
  binary.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\2", 12));
  EXPECT_EQ(shown(with_checksum(binary) + "xy"), "a=xy ");
  EXPECT_EQ(shown(member_of("@", "9 size=2\n", 'x') + header_of("a", 0) + "xy"), "a=xy ");
}

TEST(Tar, EveryCutIsNoticedAndNoByteBreaksIt) {
  const std::string archive = member_of("@", "12 path=abc\n", 'x') + member_of("b", std::string(600, 'q')) + kEnd;
  for (std::size_t size = 1; size < 512 * 5 - (1024 - 600); size += size < 512 ? 1 : 37) {
    EXPECT_NE(error_of([&] { shown(archive.substr(0, size)); }).find("found an end"), std::string::npos) << size;
  }
  for (std::size_t i = 0; i < 512; ++i) {
    if (i == 155) continue;  // filling behind the checksum
    std::string broken = archive;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    EXPECT_NE(error_of([&] { shown(broken); }), "") << i;
  }
}

TEST(Tar, RefusesSizesThatCantBe) {
  EXPECT_NE(error_of([] { shown(header_of("a", 1000) + "x"); }).find("member at byte 0"), std::string::npos);
  std::string negative = header_of("a", 0);
  negative.replace(124, 12, std::string(12, '\xff'));
  EXPECT_NE(error_of([&] { shown(with_checksum(negative)); }).find("no number for its size"), std::string::npos);
  std::string huge = header_of("a", 0);
  huge.replace(124, 12, std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12));
  EXPECT_NE(error_of([&] { shown(with_checksum(huge)); }).find("an end inside its bytes"), std::string::npos);
  EXPECT_NE(error_of([] { shown(member_of("@", std::string(70000, 'a'), 'L')); }).find("64 KiB"), std::string::npos);
  for (const std::string line :
       {"8 path=a\n", "99 path=a\n", "x\n", "0 path=a\n", "8 patha\n", "4 x\n", "9 size=x\n"}) {
    EXPECT_NE(error_of([&] { shown(member_of("@", line, 'x') + member_of("b", "1")); }), "") << line;
  }
}

TEST(Tar, InnerPaths) {
  for (const char* const path : {"a", "a/b.jpg", "./a", "a..b/c", "..a"}) EXPECT_TRUE(is_inner_path(path)) << path;
  for (const char* const path : {"", "/a", "..", "../a", "a/../b", "a/.."}) EXPECT_FALSE(is_inner_path(path)) << path;
}

TEST(TarShards, AllThreeFormatsAndBothLabels) {
  const ImageSet set = open_image_set(folder());
  EXPECT_EQ(set.classes, (std::vector<std::string>{"daisy", "dandelion", "tulips"}));
  const std::vector<std::string> images = {"jpeg_420.jpg", "jpeg_grey.jpg", "exif_6.jpg", "png_filtered.png",
                                           "jpeg_422.jpg"};
  const std::vector<std::int32_t> labels = {2, 1, 0, 2, 1};
  ASSERT_EQ(set.samples.size(), images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(set.samples[i].label, labels[i]);
    EXPECT_EQ(text_of(read_sample(set.samples[i])), image(images[i])) << i;
  }
  EXPECT_EQ(set.samples[0].name, "flowers-0000.tar/a/0000.jpg");
  EXPECT_TRUE(set.notices.empty());
  EXPECT_EQ(open_image_set(folder() + "/flowers-0001.tar").samples.size(), 2u);
  EXPECT_EQ(open_image_set(folder() + "/flowers-{0000..0001}.tar").samples.size(), 4u);
  EXPECT_NE(
      error_of([] { open_image_set(folder() + "/flowers-{0000..0003}.tar"); }).find("flowers-0003.tar: no such file"),
      std::string::npos);
  EXPECT_NE(error_of([] { open_image_set(folder() + "/flowers-{3..1}.tar"); }).find("expected a range"),
            std::string::npos);
}

TEST(TarShards, NothingLeadsOutOfAnArchive) {
  const TemporaryFolder files;
  write_text(files / "x.tar", member_of("../a.jpg", "A") + member_of("../a.cls", "0") + member_of("/b.jpg", "B") +
                                  member_of("/b.cls", "0") + member_of("c.jpg", "", '2') + member_of("d.jpg", "D") +
                                  member_of("d.cls", "4") + member_of("empty.jpg", "") + kEnd);
  const ImageSet set = open_image_set(files / "x.tar");
  ASSERT_EQ(set.samples.size(), 1u);
  EXPECT_EQ(set.samples[0].name, "x.tar/d.jpg");
  EXPECT_EQ(set.classes, (std::vector<std::string>{"4"}));
  EXPECT_TRUE(set.numbered);
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "5 members that are empty or lead out of the archive, such as x.tar/../a.jpg");
}

TEST(TarShards, HiddenMembersArePassedOver) {
  const TemporaryFolder files;
  std::string archive;
  for (const char* const key : {"./d/._a", "._b", "__MACOSX/c", ".hidden/d", "d/.e"}) archive += shard_of(key, "no");
  archive += shard_of("./d/a", "x") + shard_of("b", "y") + member_of("../.f.cls", "no") + kEnd;
  write_text(files / "x.tar", archive);
  const ImageSet set = open_image_set(files / "x.tar");
  EXPECT_EQ(set.classes, (std::vector<std::string>{"x", "y"}));
  ASSERT_EQ(set.samples.size(), 2u);
  EXPECT_EQ(set.samples[0].name, "x.tar/./d/a.jpg");
  EXPECT_TRUE(set.left_out.empty());
}

TEST(TarShards, NamesSayTheSides) {
  const TemporaryFolder files;
  write_text(files / "train-00.tar", member_of("a.jpg", "A") + member_of("a.cls", "x"));
  write_text(files / "train-01.tar", member_of("b.jpg", "B") + member_of("b.cls", "y"));
  write_text(files / "val-00.tar", member_of("c.jpg", "C") + member_of("c.json", "{\"label\": \"x\"}"));
  const ImageSet set = open_image_set(files / "");
  EXPECT_EQ(set.validates, (std::vector<bool>{false, false, true}));
}

TEST(TarShards, RefusesImagesWithoutLabelsAndLabelsWithoutImages) {
  const TemporaryFolder files;
  write_text(files / "x.tar", member_of("a.jpg", "A") + member_of("a.json", "{\"caption\": 3}"));
  EXPECT_NE(error_of([&] { open_image_set(files / "x.tar"); }).find("\"x.tar/a.jpg\": expected its label in a.cls"),
            std::string::npos);
  write_text(files / "y.tar", member_of("a.cls", "3"));
  EXPECT_NE(error_of([&] { open_image_set(files / "y.tar"); }).find("expected photos"), std::string::npos);
  write_text(files / "z.tar", member_of("a.jpg", "A") + member_of("a.png", "B") + member_of("a.cls", "3"));
  EXPECT_NE(error_of([&] { open_image_set(files / "z.tar"); }).find("found two"), std::string::npos);
}

TEST(TarShards, KeysMayHaveDots) {
  const Files files;
  files.add("x.tar",
            shard_of("train.v1/img 2.0.0000", "x") + shard_of("train.v1/img 2.0.0001", "y") + shard_of("b", "x"));
  EXPECT_EQ(shown_names(open_image_set(files / "x.tar")),
            "x.tar/train.v1/img 2.0.0000.jpg=x x.tar/train.v1/img 2.0.0001.jpg=y x.tar/b.jpg=x ");
  // A mask beside a photo is none, as WebDataset has it.
  files.add("y.tar", shard_of("a", "x") + member_of("a.seg.png", "mask") + member_of("a.seg.json", "{\"label\": 1}") +
                         member_of("a.txt", "caption") + member_of("lonely.cls", "x"));
  const ImageSet set = open_image_set(files / "y.tar");
  EXPECT_EQ(shown_names(set), "y.tar/a.jpg=x ");
  ASSERT_EQ(set.left_out.size(), 2u);
  EXPECT_EQ(describe(set.left_out[0]), "2 members of other kinds (.seg.png 1, .txt 1), such as y.tar/a.seg.png");
  EXPECT_EQ(describe(set.left_out[1]), "1 label without a photo, such as y.tar/lonely");
}

TEST(TarShards, SaysWhatIsThereInsteadOfImages) {
  const Files files;
  files.add("x.tar",
            member_of("a.bmp", "A") + member_of("a.cls", "0") + member_of("b.left.jpg", "B") + member_of("c.txt", "C"));
  EXPECT_EQ(error_of([&] { open_image_set(files / "x.tar"); }),
            "[tar] " + (files / "x.tar") +
                ": expected photos as KEY.jpg (jpg, jpeg, jpe, jfif, png, webp) with their classes as KEY.cls or "
                "KEY.json, found 3 members of other kinds (.bmp 1, .left.jpg 1, .txt 1), such as a.bmp and 1 label "
                "without a photo, such as x.tar/a");
  files.add("y.tar",
            member_of("a.JFIF", "A") + member_of("a.cls", "0") + member_of("b.jpe", "A") + member_of("b.cls", "0"));
  EXPECT_EQ(open_image_set(files / "y.tar").samples.size(), 2u);
}

TEST(TarShards, CompressedOnesAreNamed) {
  for (const auto& [name, head, kind] : {std::tuple{"x.tar.gz", "\x1f\x8b\x08", "a gzip file (unpack it first)"},
                                         {"x.tgz", "\x1f\x8b\x08", "a gzip file"},
                                         {"x.tar", "\x1f\x8b\x08", "a gzip file"},
                                         {"x.tar.bz2", "BZh91AY&SY", "a bzip2 file (unpack it first)"},
                                         {"x.tar.xz",
                                          "\xfd"
                                          "7zXZ",
                                          "the ending .xz"},
                                         {"x.tar.zst", "\x28\xb5\x2f\xfd", "a Zstandard file (unpack it first)"},
                                         {"x.zip", "PK\x03\x04", "a ZIP archive"},
                                         {"x.tar", "", "an empty file"},
                                         {"x.tar", "version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"},
                                         {"x.tar", "\n<!DOCTYPE HTML>", "an HTML page"}}) {
    const Files files;
    files.add(name, head);
    EXPECT_TRUE(has(error_of([&] { open_image_set(files / name); }), std::string("found ") + kind)) << name << kind;
    EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), std::string("found ") + kind)) << name << kind;
  }
}

}  // namespace
}  // namespace gcvit::data
