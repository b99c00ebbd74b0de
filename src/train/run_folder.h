// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "data/image_set.h"

namespace gcvit::train {

/// RUN_DIR of one training run. Files appear in it whole or not at all. A new run looks first, `check_vacant` and
/// `check_outside`, and makes the folder once it has all that it needs to begin.
class RunFolder {
 public:
  /// Takes the name; looks at nothing.
  explicit RunFolder(const std::string& path);
  /// Takes away again what `make` made and was written since, unless `keep` was called.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Throws `Error` unless a new run can begin here: the folder is missing and can be made, or it is empty and can be
  /// written. What a new run leaves that was killed before its first checkpoint counts as empty. Writes nothing.
  void check_vacant() const;

  /// Throws `Error` when the folder lies inside the folder of the photos, or in one that links in there lead to: it would
  /// be taken for photos. Writes nothing.
  void check_outside(const data::ImageSet& set) const;

  /// Makes the folder and those above it where they are missing, for this process alone while the object lives. Throws
  /// `Error` when that can't be done, or when another process trains in it.
  void make();

  /// The new run has begun: what is in the folder stays.
  void keep();

  /// Holds the folder of a run that goes on, for this process alone while the object lives. Throws like `make`.
  void open();

  /// Removes what a killed run left half written. Other files stay, whatever their names end in.
  void clear_half_written() const;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::string checkpoint() const { return path_ + "/checkpoint/state.safetensors"; }

 private:
  /// The folders of the path that are missing, outermost first. Throws `Error` unless they can be made.
  std::vector<std::string> missing_folders() const;
  void check_empty() const;
  void make_folder(const std::string& folder);
  void lock();
  void take_away() const;

  std::string path_;
  int lock_ = -1;
  bool all_ours_ = false;  ///< what is in the folder was written while this object held it
  std::vector<std::string> made_folders_;  ///< outermost first
};

/// Whether there is a checkpoint in RUN_DIR `path`.
bool holds_run(const std::string& path);

}  // namespace gcvit::train
