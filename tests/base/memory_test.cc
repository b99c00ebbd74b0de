// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "tests/base/cgroups.h"

namespace gcvit {
namespace {

TEST(Memory, TakesTheLeastLimitUpToTheRootOfVersion2) {
  const Cgroups cgroups("memory_test_v2");
  cgroups.write("cgroup", "0::/outer/inner");
  EXPECT_EQ(cgroup_memory_limit(cgroups.files()), UINT64_MAX);
  cgroups.write("root/outer/inner/memory.max", "max");
  EXPECT_EQ(cgroup_memory_limit(cgroups.files()), UINT64_MAX);
  cgroups.write("root/outer/memory.max", "4096");
  cgroups.write("root/other/memory.max", "1");
  EXPECT_EQ(cgroup_memory_limit(cgroups.files()), 4096u);
  cgroups.write("root/outer/inner/memory.max", "1024");
  EXPECT_EQ(cgroup_memory_limit(cgroups.files()), 1024u);
  // In a container the mount's root is the group itself.
  cgroups.write("root/memory.max", "512");
  EXPECT_EQ(cgroup_memory_limit(cgroups.files()), 512u);
}

TEST(Memory, ReadsVersion1OfTheMemoryControllerAlone) {
  const Cgroups cgroups("memory_test_v1");
  cgroups.write("cgroup", "5:cpu,cpuacct:/busy\n4:hugetlb,memory:/job");
  cgroups.write("root/memory/memory.limit_in_bytes", "9223372036854771712");
  cgroups.write("root/memory/busy/memory.limit_in_bytes", "1");
  cgroups.write("root/memory/job/memory.limit_in_bytes", "2048");
  EXPECT_EQ(cgroup_memory_limit(cgroups.files()), 2048u);
}

TEST(Memory, HearsTheResourceLimits) {
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit before{};
    ASSERT_EQ(getrlimit(resource, &before), 0);
    // Less than any machine has, for as long as nothing is allocated.
    const rlimit low{std::min<rlim_t>(rlim_t{1} << 20, before.rlim_max), before.rlim_max};
    ASSERT_EQ(setrlimit(resource, &low), 0);
    const std::uint64_t limit = resource_memory_limit();
    ASSERT_EQ(setrlimit(resource, &before), 0);
    EXPECT_EQ(limit, low.rlim_cur);
  }
}

TEST(Memory, IsWhatEveryLimitAllows) {
  const std::uint64_t available = available_memory();
  EXPECT_GT(available, 0u);
  EXPECT_LE(available, cgroup_memory_limit());
  EXPECT_LE(available, resource_memory_limit());
  EXPECT_LT(available, std::uint64_t{1} << 60);  // the machine's memory, whatever the others say
}

TEST(Memory, ATooLargeNeedIsASentence) {
  EXPECT_EQ(memory_text(std::uint64_t{500} << 20), "500 MiB");
  EXPECT_EQ(memory_text(std::uint64_t{5} << 29), "2.5 GiB");
  EXPECT_EQ(default_memory_limit(), available_memory() / 4 * 3);
  check_memory(1024.0, 1024, "enough");
  check_memory(1.0, 0, "what the machine has");
  const auto sentence = [](double needed, std::uint64_t allowed) {
    try {
      check_memory(needed, allowed, "m: its tables");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(sentence(3.0 * (1 << 30), 1 << 29),
            "[memory] m: its tables: about 3.0 GiB are needed, 512 MiB allowed; a larger --max-memory allows more");
  EXPECT_TRUE(sentence(1e30, 0).starts_with("[memory] m: its tables: about ")) << sentence(1e30, 0);
}

}  // namespace
}  // namespace gcvit
