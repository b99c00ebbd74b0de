// SPDX-License-Identifier: Apache-2.0
#include "digest/sha256.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "tests/testing/error_of.h"

namespace gcvit {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string sha256(std::string_view text) {
  Sha256 hash;
  hash.update(bytes(text));
  return hash.finish();
}

constexpr const char* kOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kOfMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

// The examples of FIPS 180-4.
TEST(Sha256Test, GivesTheStandardsExamples) {
  EXPECT_EQ(sha256(""), kOfNothing);
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')), kOfMillionA);
}

TEST(Sha256Test, PiecesDontMatterAndItStartsAnew) {
  Sha256 hash;
  for (std::size_t left = 1'000'000, piece = 0; left > 0; left -= piece) {
    piece = std::min(left, piece + 1);
    hash.update(bytes(std::string(piece, 'a')));
  }
  EXPECT_EQ(hash.finish(), kOfMillionA);
  EXPECT_EQ(hash.finish(), kOfNothing);
  hash.update(bytes("abc"));
  Sha256 moved = std::move(hash);
  EXPECT_EQ(moved.finish(), sha256("abc"));
}

TEST(Sha256Test, OfAFileLongerThanABlock) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("gcvit_sha256_" + std::to_string(getpid()));
  const std::string text(3'000'001, 'x');
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(sha256_of_file(path), sha256(text));
  std::ofstream(path, std::ios::binary).close();
  EXPECT_EQ(sha256_of_file(path), kOfNothing);
  std::filesystem::remove(path);
}

TEST(Sha256Test, SaysWhichFileCantBeRead) {
  EXPECT_EQ(testing::error_of([] { sha256_of_file("/nowhere/f"); }), "[file] /nowhere/f: no such file");
  EXPECT_EQ(testing::error_of([] { sha256_of_file("/"); }), "[file] /: expected a regular file, found a directory");
}

}  // namespace
}  // namespace gcvit
