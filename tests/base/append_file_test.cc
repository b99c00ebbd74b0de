// SPDX-License-Identifier: Apache-2.0
#include "base/append_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/testing/error_of.h"
#include "tests/testing/faults.h"

namespace gcvit {
namespace {

using testing::error_of;

class AppendFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "gcvit_append_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = (folder_ / "file").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(AppendFileTest, GoesOnAtTheEnd) {
  AppendFile(path_).append("one\n");
  AppendFile file(path_);
  file.append("two\n");
  file.append("three\n");
  file.sync();
  EXPECT_EQ(content(), "one\ntwo\nthree\n");
}

TEST_F(AppendFileTest, WhatDoesNotFitLeavesNothingOfItself) {
  AppendFile file(path_);
  file.append("row 1\n");
  for (int capacity = 0; capacity < 6; ++capacity) {
    testing::Faults faults;
    faults.capacity = capacity;
    faults.error = ENOSPC;
    EXPECT_EQ(error_of([&] { file.append("row 2\n"); }),
              "[file] " + path_ + ": can't be written: No space left on device");
    EXPECT_EQ(content(), "row 1\n") << capacity;
  }
  file.append("row 3\n");
  EXPECT_EQ(content(), "row 1\nrow 3\n");
}

TEST_F(AppendFileTest, TakesADeviceThatTakesLessAtOnce) {
  testing::Faults faults;
  faults.most_bytes = 3;
  AppendFile(path_).append("eight by");
  EXPECT_EQ(content(), "eight by");
}

TEST_F(AppendFileTest, SaysWhatOnlySyncTells) {
  AppendFile file(path_);
  testing::Faults faults;
  faults.failing_call = 1;
  faults.error = EDQUOT;
  file.append("row");
  EXPECT_EQ(error_of([&] { file.sync(); }), "[file] " + path_ + ": can't be written: Disk quota exceeded");
}

TEST_F(AppendFileTest, SaysWhyItCannotBeOpened) {
  const std::string missing = (folder_ / "none/file").string();
  EXPECT_EQ(error_of([&] { AppendFile file(missing); }),
            "[file] " + missing + ": can't be written: No such file or directory");
}

}  // namespace
}  // namespace gcvit
