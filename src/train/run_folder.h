// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gcvit::train {

/// RUN_DIR of one training run, held by this process alone while the object lives. Files appear whole or not at all.
class RunFolder {
 public:
  /// Makes the folder and its checkpoint/ where they are missing, and removes what a killed run left half written.
  /// Throws `Error` when that can't be done, or when another process trains in it.
  explicit RunFolder(const std::string& path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::string checkpoint() const { return path_ + "/checkpoint/state.safetensors"; }

 private:
  std::string path_;
  int lock_ = -1;
};

/// Whether there is a checkpoint in RUN_DIR `path`.
bool holds_run(const std::string& path);

}  // namespace gcvit::train
