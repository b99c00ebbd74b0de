// SPDX-License-Identifier: Apache-2.0
#include "inference/labels.h"

#include <gtest/gtest.h>

namespace gcvit::inference {
namespace {

TEST(Labels, ComeFromTheFileElseImageNetElseNumbers) {
  weights::ModelInfo info;
  info.config.classes = 3;
  EXPECT_EQ(class_labels(info), (std::vector<std::string>{"class 0", "class 1", "class 2"}));
  info.classes = {"a", "b", "c"};
  EXPECT_EQ(class_labels(info), info.classes);
  info.classes.clear();
  info.config.classes = 1000;
  const std::vector<std::string> labels = class_labels(info);
  ASSERT_EQ(labels.size(), 1000u);
  EXPECT_EQ(labels[0], "tench");
  EXPECT_EQ(labels[285], "Egyptian_cat");
}

TEST(Labels, WordNetIdsFollowTheLabels) {
  weights::ModelInfo info;
  const std::vector<std::string> ids = wordnet_ids(class_labels(info));
  ASSERT_EQ(ids.size(), 1000u);
  EXPECT_EQ(ids[0], "n01440764");
  EXPECT_EQ(ids[134], "n02012849");  // crane, the bird
  EXPECT_EQ(ids[517], "n03126707");  // crane, the machine
  EXPECT_EQ(wordnet_ids({"Egyptian_cat", "tench"}), (std::vector<std::string>{"n02124075", "n01440764"}));
  EXPECT_TRUE(wordnet_ids({"tench", "my cat"}).empty());
}

}  // namespace
}  // namespace gcvit::inference
