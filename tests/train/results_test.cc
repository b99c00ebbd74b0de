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
  // What a terminal can't show is written so that a shell makes it again.
  EXPECT_EQ(shell_word("a'\\\x1b\n\u202e\xff b"), "$'a\\x27\\x5c\\x1b\\x0a\\xe2\\x80\\xae\\xff b'");
  EXPECT_EQ(resume_command("my photos", "runs/x"), "gcvit train 'my photos' -o runs/x --resume");
}

}  // namespace
}  // namespace gcvit::train
