// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/cgroup.h"

namespace gcvit {

/// A made-up /proc/self/cgroup and /sys/fs/cgroup.
class Cgroups {
 public:
  explicit Cgroups(const std::string& name) : folder_(std::filesystem::path(::testing::TempDir()) / name) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~Cgroups() { std::filesystem::remove_all(folder_); }
  Cgroups(const Cgroups&) = delete;
  Cgroups& operator=(const Cgroups&) = delete;

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text << '\n';
  }
  CgroupFiles files() const { return {folder_ / "cgroup", folder_ / "root"}; }

 private:
  std::filesystem::path folder_;
};

}  // namespace gcvit
