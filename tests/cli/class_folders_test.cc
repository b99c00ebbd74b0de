// SPDX-License-Identifier: Apache-2.0
#include "cli/class_folders.h"

#include <gtest/gtest.h>

namespace gcvit::cli {
namespace {

using Names = std::vector<std::string>;

TEST(FolderNames, AreSafeAndDifferent) {
  EXPECT_EQ(folder_names(Names{"roses", "Dark Orange", "größe"}, "unsure"), (Names{"roses", "Dark Orange", "größe"}));
  EXPECT_EQ(folder_names(Names{"../up", "a/b", ".hidden", "", "..", "x. ", "c:\\d"}, "unsure"),
            (Names{"_._up", "a_b", "_hidden", "_-3", "_-4", "x", "c__d"}));
  // ImageNet has two cranes; a class may be called like the folder of unsure photos.
  EXPECT_EQ(folder_names(Names{"crane", "unsure", "crane", "crane-0"}, "unsure"),
            (Names{"crane-0-0", "unsure-1", "crane-2", "crane-0"}));
  EXPECT_EQ(folder_names(Names{"a\x1b[31m\n"}, "unsure"), (Names{"a_x1b[31m_x0a"}));
  const Names long_ones = folder_names(Names{std::string(300, 'x') + "1", std::string(300, 'x') + "2"}, "unsure");
  EXPECT_LT(long_ones[0].size(), 200u);
  EXPECT_NE(long_ones[0], long_ones[1]);
}

}  // namespace
}  // namespace gcvit::cli
