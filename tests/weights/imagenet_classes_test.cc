// SPDX-License-Identifier: Apache-2.0
#include "weights/imagenet_classes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace gcvit::weights {
namespace {

TEST(ImageNetClasses, AreTheThousandInOrder) {
  const std::span<const ImageNetClass> classes = imagenet_classes();
  ASSERT_EQ(classes.size(), 1000u);
  EXPECT_EQ(classes[0].wordnet_id, "n01440764");
  EXPECT_EQ(classes[0].label, "tench");
  EXPECT_EQ(classes[285].label, "Egyptian_cat");
  EXPECT_EQ(classes[999].wordnet_id, "n15075141");
  EXPECT_EQ(classes[999].label, "toilet_tissue");
  EXPECT_TRUE(std::ranges::is_sorted(classes, {}, &ImageNetClass::wordnet_id));
  EXPECT_EQ(std::ranges::adjacent_find(classes, {}, &ImageNetClass::wordnet_id), classes.end());
}

}  // namespace
}  // namespace gcvit::weights
