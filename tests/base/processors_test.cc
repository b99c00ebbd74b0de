// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/cgroup.h"
#include "base/thread_pool.h"
#include "tests/base/cgroups.h"

namespace gcvit {
namespace {

TEST(Processors, TakesTheSmallestQuotaUpToTheRootOfVersion2) {
  const Cgroups cgroups("processors_test_v2");
  EXPECT_EQ(cgroup_processors(cgroups.files()), HUGE_VAL);
  cgroups.write("cgroup", "0::/kubepods/pod");
  EXPECT_EQ(cgroup_processors(cgroups.files()), HUGE_VAL);
  cgroups.write("root/kubepods/cpu.max", "max 100000");
  cgroups.write("root/kubepods/other/cpu.max", "1000 100000");
  EXPECT_EQ(cgroup_processors(cgroups.files()), HUGE_VAL);
  cgroups.write("root/kubepods/pod/cpu.max", "400000 100000");
  EXPECT_EQ(cgroup_processors(cgroups.files()), 4.0);
  cgroups.write("root/kubepods/cpu.max", "150000 100000");
  EXPECT_EQ(cgroup_processors(cgroups.files()), 1.5);
  cgroups.write("root/kubepods/pod/cpu.max", "no number");
  EXPECT_EQ(cgroup_processors(cgroups.files()), 1.5);
}

TEST(Processors, InAContainerTheMountIsTheGroup) {
  const Cgroups cgroups("processors_test_container");
  cgroups.write("cgroup", "0::/");
  cgroups.write("root/cpu.max", "200000 100000");
  EXPECT_EQ(cgroup_processors(cgroups.files()), 2.0);
}

TEST(Processors, ReadsVersion1OfTheCpuControllerAlone) {
  const Cgroups cgroups("processors_test_v1");
  cgroups.write("cgroup", "5:memory:/job\n4:cpu,cpuacct:/docker/abc");
  cgroups.write("root/cpu/docker/abc/cpu.cfs_quota_us", "-1");
  cgroups.write("root/cpu/docker/abc/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_processors(cgroups.files()), HUGE_VAL);
  cgroups.write("root/cpu/docker/abc/cpu.cfs_quota_us", "300000");
  EXPECT_EQ(cgroup_processors(cgroups.files()), 3.0);
}

TEST(Processors, AreNeverMoreThanAQuotaAllows) {
  EXPECT_GE(available_processors(), 1);
  EXPECT_LE(available_processors(), std::max(1.0, std::ceil(cgroup_processors())));
}

}  // namespace
}  // namespace gcvit
