// SPDX-License-Identifier: Apache-2.0
#include "train/soft_labels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/weights/test_files.h"

namespace gcvit::train {
namespace {

using weights::error_of;

/// Five photos of three classes.
data::ImageSet images() {
  data::ImageSet set;
  set.root = "photos";
  set.classes = {"a", "b", "c"};
  const std::vector<std::string> names = {"a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    set.samples.emplace_back();
    set.samples.back().name = names[i];
    set.samples.back().label = static_cast<std::int32_t>(i / 2);
  }
  return set;
}

struct SoftLabelsTest : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string file = folder / "teacher.jsonl";
  data::ImageSet set = images();
  std::vector<std::size_t> needed = {0, 2, 4};

  SoftLabels read(const std::string& text, double temperature = 1.0) {
    weights::write_text(file, text);
    return SoftLabels(file, set, needed, 3, temperature);
  }
  std::string refusal(const std::string& text) {
    return error_of([&] { (void)read(text); });
  }
};

TEST_F(SoftLabelsTest, AreTheTeachersProbabilities) {
  const SoftLabels labels = read(
      "{\"image\": \"c/1.jpg\", \"logits\": [0, 0, 0]}\r\n"
      "\n"
      "{\"image\": \"elsewhere.jpg\", \"logits\": [9, 9, 9]}\n"
      "{\"logits\": [2, 0, -2], \"image\": \"b/1.jpg\", \"more\": null}\n"
      "{\"image\": \"a/1.jpg\", \"logits\": [100, 0, 0]}",
      2.0);
  EXPECT_EQ(labels.without(), 0u);
  for (const float probability : labels.of(4)) EXPECT_FLOAT_EQ(probability, 1.0f / 3.0f);
  EXPECT_FLOAT_EQ(labels.of(0)[0], 1.0f);
  const double sum = std::exp(1.0) + 1.0 + std::exp(-1.0);  // at temperature 2
  EXPECT_FLOAT_EQ(labels.of(2)[0], static_cast<float>(std::exp(1.0) / sum));
  EXPECT_FLOAT_EQ(labels.of(2)[2], static_cast<float>(std::exp(-1.0) / sum));
}

TEST_F(SoftLabelsTest, WithoutALineTheLabelIsTheTeacher) {
  const SoftLabels labels = read("{\"image\": \"a/1.jpg\", \"logits\": [0, 0, 0]}\n");
  EXPECT_EQ(labels.without(), 2u);
  EXPECT_TRUE(std::ranges::equal(labels.of(2), std::vector<float>{0.0f, 1.0f, 0.0f}));
  EXPECT_TRUE(std::ranges::equal(labels.of(4), std::vector<float>{0.0f, 0.0f, 1.0f}));
}

TEST_F(SoftLabelsTest, ErrorsNameTheLine) {
  const std::string good = "{\"image\": \"a/1.jpg\", \"logits\": [0, 1, 2]}\n";
  EXPECT_EQ(refusal(good + good), "[train] " + file + ": line 2: a/1.jpg has stood on a line before");
  EXPECT_EQ(refusal(good + "\n{\"image\": \"b/1.jpg\", \"logits\": [0, 1]}"),
            "[train] " + file + ": line 3: expected 3 logits, found 2");
  for (const char* line : {"a/1.jpg 1 2 3", "{\"image\": \"a/1.jpg\"}", "{\"image\": 1, \"logits\": [1, 2, 3]}",
                           "{\"image\": \"a/1.jpg\", \"logits\": [1, 2, \"3\"]}", "[]", "{\"image\": \"a/1.jpg\", "}) {
    EXPECT_EQ(refusal(line).find("[train] " + file + ": line 1: expected a line as {\"image\""), 0u) << line;
  }
  EXPECT_EQ(refusal("{\"image\": \"a/1.jpg\", \"logits\": [1e60, 0, 0]}"),
            "[train] " + file +
                ": line 1: expected a line as {\"image\": \"roses/12.jpg\", \"logits\": [0.1, 7.2]}, found "
                "another: line: logits[0]: expected a number that a float holds, found 1e+60");
}

TEST_F(SoftLabelsTest, SomeMustBeOfTheImages) {
  const std::string expected = "[train] " + file + ": expected lines for photos of photos, found none";
  EXPECT_EQ(refusal("{\"image\": \"roses/1.jpg\", \"logits\": [0, 1, 2]}\n"), expected);
  EXPECT_EQ(refusal(""), expected);
  EXPECT_EQ(error_of([&] { SoftLabels(folder / "no.jsonl", set, needed, 3, 1.0); }),
            "[train] " + (folder / "no.jsonl") + ": no such file");
}

}  // namespace
}  // namespace gcvit::train
