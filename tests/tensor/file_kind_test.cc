// SPDX-License-Identifier: Apache-2.0
#include "tensor/file_kind.h"

#include <gtest/gtest.h>

#include <string>

namespace gcvit {
namespace {

std::string kind(std::string_view text) { return std::string(file_kind(std::as_bytes(std::span(text)))); }

TEST(FileKind, NamesWhatABrokenDownloadLeaves) {
  EXPECT_EQ(kind("version https://git-lfs.github.com/spec/v1\noid sha256:12"),
            "a Git LFS pointer: fetch the real file (git lfs pull)");
  EXPECT_EQ(kind("\r\n <!DocType HTML>"), "an HTML page: download the file itself");
  EXPECT_EQ(kind("<html lang=en>"), "an HTML page: download the file itself");
  EXPECT_EQ(kind("\x1f\x8b"), "gzip data: unpack it first (gunzip)");
  EXPECT_EQ(kind(std::string_view("\xfd"
                                  "7zXZ\0",
                                  6)),
            "xz data: unpack it first (unxz)");
  EXPECT_EQ(kind("\xff\xfe"), "UTF-16 text: save it as UTF-8");
  for (const char* const other : {"", " ", "\x1f", "version 2", "<htm", "\xff\xd8\xff\xe0", "\x89PNG", "a.jpg,x"}) {
    EXPECT_EQ(kind(other), "") << other;
  }
}

}  // namespace
}  // namespace gcvit
