// SPDX-License-Identifier: Apache-2.0
#include "data/image_hash.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "data/source_summary.h"
#include "data/image_stamp.h"
#include "data/partition.h"
#include "tests/data/example_bytes.h"
#include "tests/data/files.h"

namespace gcvit::data {
namespace {

using weights::error_of;

/// 94 photos of 4 classes, with identical ones within and between these.
struct Images : Files {
  ImageSet set;
  Images() {
    for (const auto& [name, count] : {std::pair{"a", 60}, {"b", 31}, {"c", 2}, {"d", 1}}) {
      for (int i = 0; i < count; ++i) {
        const std::string who = i % 7 == 0 ? "" : name;
        add(std::string(name) + "/" + std::to_string(i) + ".jpg", "photo " + who + std::to_string(i % 23));
      }
    }
    set = open_image_set(root());
  }
};

/// FNV-1a of the indices.
std::uint64_t digest(const std::vector<std::size_t>& indices) {
  std::uint64_t sum = 1469598103934665603u;
  for (const std::size_t index : indices) sum = (sum ^ index) * 1099511628211u;
  return sum;
}

TEST(ImageHash, TheSplitIsTheSameAsEverOnAnyNumberOfThreads) {
  const Images images;
  for (const int threads : {1, 2, 5}) {
    // Seen before there were threads.
    EXPECT_EQ(digest(split_stratified(images.set, 0.1, 42, {.threads = threads}).validation), 0x92913192ae044355u);
    EXPECT_EQ(digest(split_stratified(images.set, 0.3, 42, {.threads = threads}).validation), 0xccd026b00b899cd2u);
    EXPECT_EQ(digest(split_stratified(images.set, 0.5, 42, {.threads = threads}).validation), 0xf57604abb8f6710au);
  }
}

TEST(ImageHash, TellsHowFarItIs) {
  const Images images;
  HashProgress last;
  int calls = 0;
  hashes_of(images.set, {.threads = 2, .progress = [&](const HashProgress& progress) {
                           EXPECT_EQ(progress.done == 0, calls++ == 0);
                           EXPECT_GE(progress.done, last.done);
                           last = progress;
                         }});
  EXPECT_EQ(last.done, 94u);
  EXPECT_EQ(last.total, 94u);
  EXPECT_GT(last.bytes, 94u * 7);
  EXPECT_THROW(hashes_of(images.set, {.progress = [](const HashProgress&) { throw std::runtime_error("stop"); }}),
               std::runtime_error);
  // Nothing is read for an empty side.
  split_stratified(images.set, 0.0, 1, {.progress = [](const HashProgress&) { FAIL(); }});
}

TEST(ImageHash, AImageOfARecordIsHashedLikeAnyOther) {
  const Files files;
  files.add("a.jpg", "photo");
  const std::string text = records_of({example_of({{"image", bytes_feature("photo")}, {"label", integer_feature(0)}})});
  files.add("x.tfrecord", text);
  const ImageSet set = open_image_set(files / "x.tfrecord");
  EXPECT_EQ(hash_of(set.samples[0]), hash_of({.name = "a.jpg", .file = files / "a.jpg"}));
  std::string broken = text;
  broken[text.find("photo")] = 'P';
  files.add("x.tfrecord", broken);
  EXPECT_EQ(hash_of(set.samples[0]), "");
}

TEST(ImageHash, FoundSaysWhatIsIdenticalAndUnreadable) {
  const Images images;
  ImageSet set = images.set;
  set.samples[3].file = images / "gone";
  const Partition split = split_stratified(set, 0.1, 42);
  const SourceSummary found = summarise(set, &split);
  EXPECT_EQ(found.images, 94u);
  EXPECT_EQ(found.validation, split.validation.size());
  EXPECT_EQ(found.unreadable.count, 1u);
  EXPECT_EQ(found.unreadable.example, set.samples[3].name);
  EXPECT_GT(found.identical.count, 10u);
  const std::vector<std::string> said = describe(found);
  ASSERT_EQ(said.size(), 5u);
  EXPECT_EQ(said[0], images.root() + ": class folders: 94 photos of 4 classes: a 60, b 31, c 2, d 1");
  EXPECT_EQ(said[1], images.root() + ": of these 84 train, 10 validate");
  EXPECT_EQ(found.contradictory.count, 7u);
  EXPECT_TRUE(has(said[3], "7 photos that are byte for byte one of another class, such as b/")) << said[3];
  EXPECT_TRUE(has(said[4], ": 1 photo that can't be read, such as a/11.jpg")) << said[4];
}

TEST(SourceSummary, OneIsSaidAsOne) {
  const auto said = [](const std::string& reason) { return describe(LeftOut{.reason = reason, .count = 1}); };
  EXPECT_EQ(said("files of other kinds"), "1 file of other kinds");
  EXPECT_EQ(said("lines that repeat a photo"), "1 line that repeats a photo");
  EXPECT_EQ(said("photos that don't validate"), "1 photo that doesn't validate");
  EXPECT_EQ(said("photos that are byte for byte another one"), "1 photo that is byte for byte another one");
  EXPECT_EQ(said("photos that can't be read"), "1 photo that can't be read");
  EXPECT_EQ(describe(LeftOut{.reason = "photos that are gone", .count = 2}), "2 photos that are gone");
}

TEST(SourceSummary, NamesTenClassesAndCountsTheOthers) {
  Files files;
  for (int i = 0; i < 30; ++i) files.add("c" + std::to_string(10 + i) + "/1.jpg");
  const std::vector<std::string> said = describe(summarise(open_image_set(files.root())));
  ASSERT_EQ(said.size(), 1u);
  EXPECT_TRUE(
      said[0].ends_with("30 photos of 30 classes: c10 1, c11 1, c12 1, c13 1, c14 1, c15 1, c16 1, c17 1, c18 "
                        "1, c19 1 and 20 more"))
      << said[0];
}

}  // namespace
}  // namespace gcvit::data
