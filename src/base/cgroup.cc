// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup.h"

#include <fstream>
#include <string>

namespace gcvit {

void for_each_cgroup(std::string_view controller,
                     const std::function<void(const std::filesystem::path& folder, bool v2)>& visit,
                     const CgroupFiles& files) {
  const std::string wanted = "," + std::string(controller) + ",";
  std::ifstream memberships(files.memberships);
  for (std::string line; std::getline(memberships, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(wanted) == std::string::npos) continue;
    const std::filesystem::path base = v2 ? files.root : files.root / controller;
    std::filesystem::path path = std::filesystem::path(line.substr(second + 1)).relative_path();
    while (true) {
      visit(base / path, v2);
      if (path.empty()) break;
      path = path.parent_path();
    }
  }
}

}  // namespace gcvit
