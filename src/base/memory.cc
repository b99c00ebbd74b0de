// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace gcvit {
namespace {

std::uint64_t physical_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_size = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_size <= 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size);
}

}  // namespace

std::uint64_t cgroup_memory_limit(const CgroupFiles& files) {
  std::uint64_t least = UINT64_MAX;
  for_each_cgroup(
      "memory",
      [&](const std::filesystem::path& folder, bool v2) {
        std::ifstream file(folder / (v2 ? "memory.max" : "memory.limit_in_bytes"));
        // "max" is no number; a v1 group without a limit says a number near 2^63.
        if (std::uint64_t limit = 0; file >> limit) least = std::min(least, limit);
      },
      files);
  return least;
}

std::uint64_t resource_memory_limit() {
  std::uint64_t least = UINT64_MAX;
  for (const int resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (::getrlimit(static_cast<decltype(RLIMIT_AS)>(resource), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
      continue;
    }
    least = std::min<std::uint64_t>(least, limit.rlim_cur);
  }
  return least;
}

std::uint64_t available_memory() {
  return std::min({physical_memory(), cgroup_memory_limit(), resource_memory_limit()});
}

std::uint64_t default_memory_limit() { return available_memory() / 4 * 3; }

std::string memory_text(std::uint64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  return mebibytes < 1024.0 ? fmt::format("{:.0f} MiB", mebibytes) : fmt::format("{:.1f} GiB", mebibytes / 1024.0);
}

void check_memory(double needed, std::uint64_t allowed, std::string_view what) {
  const std::uint64_t limit = allowed == 0 ? default_memory_limit() : allowed;
  if (needed <= static_cast<double>(limit)) return;
  constexpr double kLargest = 1e18;
  fail(ErrorCode::kOutOfBudget, "[memory] {}: about {} are needed, {} allowed; a larger --max-memory allows more", what,
       memory_text(static_cast<std::uint64_t>(std::min(needed, kLargest))), memory_text(limit));
}

}  // namespace gcvit
