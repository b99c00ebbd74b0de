// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace gcvit {

/// Where control groups are described. Tests describe their own.
struct CgroupFiles {
  std::filesystem::path memberships = "/proc/self/cgroup";
  std::filesystem::path root = "/sys/fs/cgroup";
};

/// Calls `visit` with the folder of every control group that limits this process through `controller` ("cpu",
/// "memory"), from its own group up to the root, and whether it is one of version 2. A folder may be missing: inside a
/// container the listed path can lie outside the mount, whose root then is this process's group.
void for_each_cgroup(std::string_view controller,
                     const std::function<void(const std::filesystem::path& folder, bool v2)>& visit,
                     const CgroupFiles& files = {});

/// How many processors' time the quotas of this process's groups (v1 or v2) let it take, such as 1.5; infinite without one.
double cgroup_processors(const CgroupFiles& files = {});

}  // namespace gcvit
