// SPDX-License-Identifier: Apache-2.0
#include "tensor/atomic_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "tensor/error.h"

namespace gcvit {
namespace {

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "gcvit_atomic_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = (folder_ / "file").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  auto files() const { return std::distance(std::filesystem::directory_iterator(folder_), {}); }

  static std::string error_of(const std::function<void()>& run) {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(AtomicFileTest, AppearsWholeAtCommit) {
  AtomicFile file(path_);
  file.write("header....");
  file.write("data");
  file.write_at(6, std::as_bytes(std::span("1234", 4)));
  EXPECT_FALSE(std::filesystem::exists(path_));
  file.commit();
  EXPECT_EQ(content(), "header1234data");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, LeavesTheOldFileWithoutCommit) {
  std::ofstream(path_) << "old";
  {
    AtomicFile file(path_);
    file.write("new");
  }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, SaysWhyItCannotWrite) {
  const std::string missing = (folder_ / "none" / "file").string();
  EXPECT_EQ(error_of([&] { AtomicFile file(missing); }),
            "[file] " + missing + ": can't be written: No such file or directory");
  EXPECT_EQ(error_of([&] { AtomicFile file(folder_.string()); }),
            "[file] " + folder_.string() + ": expected a file to write, found a directory");
  EXPECT_EQ(error_of([&] { AtomicFile file("/dev/null"); }),
            "[file] /dev/null: expected a file to write, found a device");
}

}  // namespace
}  // namespace gcvit
