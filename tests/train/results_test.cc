// SPDX-License-Identifier: Apache-2.0
#include "train/results.h"

#include <gtest/gtest.h>

namespace gcvit::train {
namespace {

TEST(ShellWord, IsReadBackAsItIs) {
  EXPECT_EQ(shell_word("runs/a-b_1.2,3=4@%+"), "runs/a-b_1.2,3=4@%+");
  EXPECT_EQ(shell_word("my photos"), "'my photos'");
  EXPECT_EQ(shell_word("it's; rm -rf $HOME"), "'it'\\''s; rm -rf $HOME'");
  EXPECT_EQ(shell_word("~x"), "'~x'");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(resume_command("my photos", "runs/x"), "gcvit train 'my photos' -o runs/x --resume");
}

}  // namespace
}  // namespace gcvit::train
