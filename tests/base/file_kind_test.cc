// SPDX-License-Identifier: Apache-2.0
#include "base/file_kind.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace gcvit {
namespace {

using namespace std::string_view_literals;

TEST(FileKind, DownloadsThatWentWrong) {
  EXPECT_EQ(file_kind("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 2\n"sv),
            "a Git LFS pointer (fetch the file itself with `git lfs pull`)");
  EXPECT_EQ(file_kind("<!DOCTYPE html><html>"sv), "an HTML page");
  EXPECT_EQ(file_kind("\xef\xbb\xbf\n  <!doctype HTML>"sv), "an HTML page");
  EXPECT_EQ(file_kind("<HTML lang=\"en\">"sv), "an HTML page");
  EXPECT_EQ(file_kind("<!-- saved --><html>"sv), "an HTML page");
  EXPECT_EQ(file_kind("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>"sv), "an XML document");
  EXPECT_EQ(file_kind("<?xml version=\"1.0\"?><svg width=\"2\">"sv), "an SVG drawing");
  EXPECT_EQ(file_kind("{\"error\":\"Repository not found\"}"sv),
            "JSON that begins {\"error\":\"Repository not found\"}");
  EXPECT_EQ(file_kind("Entry not found"sv), "a text that begins \"Entry not found\"");
  EXPECT_EQ(file_kind(""sv), "an empty file");
  EXPECT_EQ(file_kind(std::string(600, '\0')), "zeros");
}

TEST(FileKind, WhatOnlyStandsForAFile) {
  for (const std::string_view wrapped :
       {"version https://git-lfs.github.com/spec/v1\n"sv, "\n<!DOCTYPE HTML>"sv, "\x1f\x8b"sv, "BZh91AY&SY"sv,
        "\xfd"
        "7zXZ\0"sv,
        "\x28\xb5\x2f\xfd"sv, "PK\x03\x04"sv,
        "\xff\xfe"
        "a\0"sv}) {
    EXPECT_NE(placeholder_or_packed_kind(wrapped), "");
    EXPECT_EQ(placeholder_or_packed_kind(wrapped), file_kind(wrapped));
  }
  std::string tar(512, 'a');
  tar.replace(257, 5, "ustar");
  for (const std::string_view own : {"a.jpg,daisy\n"sv, "\xff\xd8\xff\xe0"sv, "version 2"sv, "<htm"sv, " "sv, ""sv,
                                     "BZh1/a.jpg"sv, "{\"a\":1}"sv, "\x12\0\0\0\0\0\0\0"sv, std::string_view(tar)}) {
    EXPECT_EQ(placeholder_or_packed_kind(own), "") << own;
  }
}

TEST(FileKind, ArchivesAndModels) {
  EXPECT_EQ(file_kind("PK\x03\x04zzzz"sv), "a ZIP archive");
  EXPECT_EQ(file_kind("\x1f\x8b\x08\x00"sv), "a gzip file (unpack it first)");
  std::string tar(512, 'a');
  tar.replace(257, 5, "ustar");
  EXPECT_EQ(file_kind(tar), "a tar archive (unpack it first)");
  EXPECT_EQ(file_kind("\x08\x08\x12\x07pytorch\x1a\x05"sv), "an ONNX model");
  EXPECT_EQ(file_kind("\x08\x0a:\xff\x02"sv), "an ONNX model");
  EXPECT_EQ(file_kind("\x08\x01\x12\x80\x20"sv), "a TensorFlow SavedModel");
  EXPECT_EQ(file_kind("\x0a\x10\x0a\x05input\x12\x0bPlaceholder"sv), "a TensorFlow graph");
  EXPECT_EQ(file_kind("\x1c\0\0\0TFL3"sv), "a TensorFlow Lite model");
  EXPECT_EQ(file_kind("GGUF\x03"sv), "a GGUF file");
  EXPECT_EQ(file_kind("\x89HDF\r\n\x1a\n"sv), "an HDF5 file");
  EXPECT_EQ(file_kind("\x40\x01\0\0\0\0\0\0{\"a\":"sv), "a safetensors file");
}

TEST(FileKind, Pictures) {
  EXPECT_EQ(file_kind("\xff\xd8\xff\xe0"sv), "a JPEG image");
  EXPECT_EQ(file_kind("\x89PNG\r\n\x1a\n"sv), "a PNG image");
  EXPECT_EQ(file_kind("RIFF\x10\0\0\0WEBPVP8 "sv), "a WebP image");
  EXPECT_EQ(file_kind("GIF89a"sv), "a GIF image");
  EXPECT_EQ(file_kind("BM\x46\0\0\0\0\0\0\0\x36\0\0\0"sv), "a BMP image");
  EXPECT_EQ(file_kind("BMW is a brand"sv), "a text that begins \"BMW is a brand\"");
  EXPECT_EQ(file_kind("II*\0\x08\0\0\0"sv), "a TIFF image");
  EXPECT_EQ(file_kind("MM\0*\0\0\0\x08"sv), "a TIFF image");
  EXPECT_EQ(file_kind("\0\0\0\x1c"
                      "ftypavif"sv),
            "an AVIF image");
  EXPECT_EQ(file_kind("\0\0\0\x18"
                      "ftypheic"sv),
            "a HEIC image");
  EXPECT_EQ(file_kind("\0\0\0\x18"
                      "ftypisom"sv),
            "an MP4 or QuickTime film");
}

TEST(FileKind, TextIsCutAndPrintable) {
  EXPECT_EQ(file_kind("a\n\n\tb  c"sv), "a text that begins \"a b c\"");
  EXPECT_EQ(file_kind(std::string(300, 'x')), "a text that begins \"" + std::string(48, 'x') + "...\"");
  // Neither a character is cut nor a direction reversed.
  const std::string umlauts = [] {
    std::string text = "x";
    for (int i = 0; i < 60; ++i) text += "\xc3\xa4";
    return text;
  }();
  EXPECT_EQ(file_kind(umlauts).find("\\x"), std::string::npos) << file_kind(umlauts);
  EXPECT_EQ(file_kind("a\xe2\x80\xae"
                      "b"sv),
            "a text that begins \"a\\u202eb\"");
  EXPECT_EQ(file_kind("\x01\x02\x03\x04"sv), "");
}

/// Whatever the bytes, nothing beyond them is read and the answer is one printable line.
TEST(FileKind, AnyBytes) {
  std::uint32_t state = 1;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes;
    const std::size_t size = (state >> 8) % 24;
    for (std::size_t k = 0; k < size; ++k) {
      state = state * 1664525u + 1013904223u;
      // Mostly bytes that the kinds are told by.
      constexpr std::string_view kBytes = "\x08\x0a\x12\x01\x05 B{<PKGftyp\0\xff\x89\x80\x1f"sv;
      bytes.push_back(kBytes[(state >> 16) % kBytes.size()]);
    }
    state = state * 1664525u + 1013904223u;
    const std::string exact(bytes);
    const std::string kind = file_kind(std::string_view(exact));
    EXPECT_EQ(kind.find('\n'), std::string::npos);
    EXPECT_EQ(kind.find('\0'), std::string::npos);
  }
}

}  // namespace
}  // namespace gcvit
