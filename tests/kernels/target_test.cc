// SPDX-License-Identifier: Apache-2.0
#include "kernels/target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "kernels/gemm.h"
#include "kernels/peak.h"
#include "tests/testing/error_of.h"

namespace gcvit::kernels {
namespace {

using gcvit::testing::error_of;

/// Ends the process with 0 and, on stderr, what target() gives or throws when GCVIT_TARGET has this value.
[[noreturn]] void print_target(const char* variable) {
  setenv("GCVIT_TARGET", variable, 1);
  std::string sentence;
  const std::string error = error_of([&] { sentence = target(); });
  std::fputs((sentence.empty() ? error : "takes " + sentence).c_str(), stderr);
  std::exit(0);
}

/// The variable is read once a process: each value is tried in a new one.
class TargetVariable : public ::testing::Test {
 protected:
  TargetVariable() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(TargetVariable, TakesEachTargetByName) {
  for (const std::string& name : available_targets()) {
    EXPECT_EXIT(print_target(name.c_str()), ::testing::ExitedWithCode(0), "takes " + name + "$");
  }
}

TEST_F(TargetVariable, TakesTheBestWhenEmpty) {
  EXPECT_EXIT(print_target(""), ::testing::ExitedWithCode(0), "takes " + available_targets().front() + "$");
}

TEST_F(TargetVariable, RefusesAnUnknownName) {
  EXPECT_EXIT(print_target("MMX"), ::testing::ExitedWithCode(0),
              "\\[target\\] GCVIT_TARGET: expected one of " + available_targets().front() + ".*, found \"MMX\"");
}

TEST(Target, ForcingOneLastsUntilTheNext) {
  const std::string before = target();
  const std::vector<std::string> all = available_targets();
  ASSERT_FALSE(all.empty());
  EXPECT_NE(std::ranges::find(all, before), all.end());
  for (const std::string& name : all) {
    force_target(name);
    const std::int32_t width = panel_width();
    EXPECT_EQ(target(), name);
    EXPECT_EQ(available_targets(), all) << "listing them changes nothing";
    EXPECT_EQ(target(), name);
    EXPECT_EQ(error_of([] { force_target("MMX"); }).substr(0, 8), "[target]");
    EXPECT_EQ(target(), name) << "nor does an unknown name";
    EXPECT_EQ(panel_width(), width);
  }
  force_target(before);
  EXPECT_EQ(target(), before);
}

TEST(Target, AskingForTheRunnableOnesNeverSwitches) {
  const std::string before = target();
  force_target(available_targets().back());
  const std::string forced = target();
  std::atomic<bool> stop = false;
  std::atomic<int> switched = 0;
  std::thread watcher([&] {
    while (!stop) switched += target() != forced;
  });
  for (int i = 0; i < 20'000; ++i) static_cast<void>(available_targets());
  stop = true;
  watcher.join();
  EXPECT_EQ(switched, 0);
  force_target(before);
}

TEST(Peak, IsAPlausibleNumber) {
  ThreadPool pool(1);
  const double gflops = measure_fma_gflops(pool, 0.02);
  EXPECT_GT(gflops, 0.1);
  EXPECT_LT(gflops, 1e5);
}

}  // namespace
}  // namespace gcvit::kernels
