// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/cgroup.h"
#include "base/thread_pool.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace gcvit {
namespace {

int affinity_processors() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

/// quota / period of one cgroup v2 folder ("max 100000" or "150000 100000"); infinite when it sets none.
double quota_v2(const std::filesystem::path& folder) {
  std::ifstream file(folder / "cpu.max");
  std::string quota;
  double period = 0.0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0.0) return HUGE_VAL;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_v1(const std::filesystem::path& folder) {
  std::ifstream quota_file(folder / "cpu.cfs_quota_us");
  std::ifstream period_file(folder / "cpu.cfs_period_us");
  double quota = 0.0;
  double period = 0.0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0.0 || period <= 0.0) return HUGE_VAL;
  return quota / period;
}

}  // namespace

double cgroup_processors(const CgroupFiles& files) {
  double smallest = HUGE_VAL;
  for_each_cgroup(
      "cpu",
      [&](const std::filesystem::path& folder, bool v2) {
        smallest = std::min(smallest, v2 ? quota_v2(folder) : quota_v1(folder));
      },
      files);
  return smallest;
}

int available_processors() {
  const double quota = cgroup_processors();
  int processors = affinity_processors();
  if (quota < static_cast<double>(processors)) processors = static_cast<int>(std::ceil(quota));
  return std::max(processors, 1);
}

}  // namespace gcvit
