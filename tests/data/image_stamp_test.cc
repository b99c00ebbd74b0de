// SPDX-License-Identifier: Apache-2.0
#include "data/image_stamp.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

struct Stamps : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string file = folder / "a.png";
  ImageSet set;

  Stamps() {
    weights::write_text(file, "some bytes");
    set.samples = {{"a.png", 0, file, 0, 0}, {"a.png/part", 0, file, 5, 5}, {"none.png", 0, folder / "none.png", 0, 0}};
  }
  void set_time(int seconds) const {
    std::filesystem::last_write_time(file,
                                     std::filesystem::file_time_type::clock::now() + std::chrono::seconds(seconds));
  }
  Change change(std::size_t sample, const ImageStamp& before) const {
    return change_of(set.samples[sample], before, stamps_of(set)[sample]);
  }
};

TEST_F(Stamps, SayWhatTheFileIs) {
  const std::vector<ImageStamp> stamps = stamps_of(set);
  EXPECT_TRUE(stamps[0].there);
  EXPECT_EQ(stamps[0].size, 10u);
  EXPECT_GT(stamps[0].time, std::int64_t{1'000'000'000'000'000'000});
  EXPECT_EQ(stamps[1], stamps[0]);
  EXPECT_FALSE(stamps[2].there);
  // printf bytes | sha256sum
  EXPECT_EQ(hash_of(set.samples[1]), "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9");
  EXPECT_EQ(hash_of(set.samples[2]), "");
}

TEST_F(Stamps, TellWhatHasChanged) {
  std::vector<ImageStamp> before = stamps_of(set);
  EXPECT_EQ(change(0, before[0]), Change::kNone);
  EXPECT_EQ(change(2, before[2]), Change::kNone);
  set_time(60);
  EXPECT_EQ(change(0, before[0]), Change::kUnknown);
  EXPECT_EQ(change(1, before[1]), Change::kUnknown);
  for (std::size_t i = 0; i < 2; ++i) {
    before[i].sha256 = hash_of(set.samples[i]);
    EXPECT_EQ(change(i, before[i]), Change::kNone);
  }
  weights::write_text(file, "SOME bytes");
  set_time(120);
  EXPECT_EQ(change(0, before[0]), Change::kChanged);
  EXPECT_EQ(change(1, before[1]), Change::kNone);  // another part of the shard
  weights::write_text(file, "SOME bytes and more");
  EXPECT_EQ(change(1, before[1]), Change::kNone);
  before[1].sha256.clear();
  EXPECT_EQ(change(1, before[1]), Change::kChanged);
  std::filesystem::remove(file);
  EXPECT_EQ(change(0, before[0]), Change::kChanged);
  weights::write_text(folder / "none.png", "now it is");
  EXPECT_EQ(change(2, before[2]), Change::kChanged);
}

}  // namespace
}  // namespace gcvit::data
