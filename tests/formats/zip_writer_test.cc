// SPDX-License-Identifier: Apache-2.0
#include "formats/zip_writer.h"

#include <gtest/gtest.h>

#include "tests/formats/test_files.h"
#include "tests/testing/unzip.h"

namespace gcvit::formats {
namespace {

using namespace std::string_literals;

TEST(ZipWriter, WritesAPlainArchiveAsLibzipDoes) {
  const TemporaryFolder folder;
  ZipWriter writer(folder / "x.zip", ZipStyle::kPlain);
  const std::string_view pieces[] = {"hello ", "world data"};
  writer.add("level1.npy", {std::as_bytes(std::span(pieces[0])), std::as_bytes(std::span(pieces[1]))});
  writer.add("b\xc3\xa9.npy", std::string_view("second"));
  writer.finish();
  // What libzip 1.7 wrote for the same entries with their times set to 1 January 1980.
  EXPECT_EQ(read_text(folder / "x.zip"),
            "PK\3\4\x0a\0\0\0\0\0\0\0\x21\0\x25\x8d\x54\xd2\x10\0\0\0\x10\0\0\0\x0a\0\0\0level1.npyhello world data"
            "PK\3\4\x0a\0\0\x08\0\0\0\0\x21\0\x69\x11\x1f\xb6\6\0\0\0\6\0\0\0\7\0\0\0b\xc3\xa9.npysecond"
            "PK\1\2\x3f\3\x0a\0\0\0\0\0\0\0\x21\0\x25\x8d\x54\xd2\x10\0\0\0\x10\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0\0\xb6\x81"
            "\0\0\0\0level1.npy"
            "PK\1\2\x3f\3\x0a\0\0\x08\0\0\0\0\x21\0\x69\x11\x1f\xb6\6\0\0\0\6\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\xb6\x81\x38"
            "\0\0\0b\xc3\xa9.npy"
            "PK\5\6\0\0\0\0\2\0\2\0\x6d\0\0\0\x63\0\0\0\0\0"s);
  EXPECT_EQ(testing::unzip(folder / "x.zip"),
            (std::map<std::string, std::string>{{"level1.npy", "hello world data"}, {"b\xc3\xa9.npy", "second"}}));
}

TEST(ZipWriter, RefusesMoreThanAPlainZipHolds) {
  const TemporaryFolder folder;
  ZipWriter writer(folder / "x.zip", ZipStyle::kAligned);
  EXPECT_EQ(error_of([&] { writer.add(std::string(0x10000, 'n'), std::string_view("")); }),
            "[zip] " + folder / "x.zip" + ": expected at most 4 GB in 65534 entries, found more");
}

}  // namespace
}  // namespace gcvit::formats
