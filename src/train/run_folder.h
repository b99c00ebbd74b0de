// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "data/image_set.h"

namespace gcvit::train {

/// RUN_DIR of one training run, whose files are written atomically. A new run first calls `check_vacant` and
/// `check_outside`, and creates the folder once it has everything that it needs.
class RunFolder {
 public:
  /// Stores the path without touching the file system.
  explicit RunFolder(const std::string& path);
  /// Removes the folders that `make` created and the files written since, unless `keep` was called.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Throws `Error` unless a new run can begin here: the folder is missing and can be created, or it is empty and writable. A
  /// folder with only the files of a run that was killed before its first checkpoint counts as empty. Writes nothing.
  void check_vacant() const;

  /// Throws `Error` when the folder is inside the folder of the photos, or in one that links in there point to, as its files
  /// would be taken for photos. Writes nothing.
  void check_outside(const data::ImageSet& set) const;

  /// Creates the folder, and missing ones above it, and locks it for this process while the object lives. Throws `Error`
  /// when that fails, or when another process trains in it.
  void make();

  /// The new run has begun: keep the folder and its files.
  void keep();

  /// Locks the folder of a resumed run for this process while the object lives. Throws like `make`.
  void open();

  /// Removes incomplete files of a killed run, and no others.
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
  bool all_ours_ = false;  ///< all files in the folder were written while this object held it
  std::vector<std::string> made_folders_;  ///< outermost first
};

/// Whether there is a checkpoint in RUN_DIR `path`.
bool holds_run(const std::string& path);

}  // namespace gcvit::train
