// SPDX-License-Identifier: Apache-2.0
// Photos sorted into a folder for each class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace gcvit::cli {

/// How a photo gets into its class's folder.
enum class SortMode { kCopy, kSymlink, kHardlink };

/// Class names as names of folders, each different and none of them `reserved`: characters that some file systems refuse become
/// "_", as does a dot in front. A name that would stand twice gets its class's index behind it ("crane-134").
std::vector<std::string> folder_names(std::span<const std::string> classes, const std::string& reserved);

/// Puts photos into `root`/CLASS/ under their own names. Nothing is ever overwritten: a name that another photo has gets a
/// number ("rose-2.jpg"), and a photo that is there since before stays the only one. A copy appears whole or not at all, with the time
/// of the original's last change. Folders are made when they get their first photo.
class ClassFolders {
 public:
  /// Throws `Error` when `root` is something other than a folder.
  ClassFolders(std::string root, SortMode mode, std::span<const std::string> classes);

  /// Puts the photo into the folder of a class, or of unsure photos. Throws `Error` when that fails.
  void put(const std::string& photo, std::optional<std::int32_t> label);

  /// "sorted: 5 photos copied to 2 folders: roses 3, unsure 2; 1 was there already"
  std::string summary() const;

 private:
  bool put_as(const std::string& photo, const std::string& target);
  bool copy(const std::string& photo, const std::string& target) const;
  bool link(const std::string& photo, const std::string& target) const;

  std::string root_;
  SortMode mode_;
  std::vector<std::string> names_;
  std::unordered_set<std::string> placed_;  ///< by this object, or found there
  std::map<std::string, std::size_t> counts_;  ///< by folder
  std::size_t before_ = 0;  ///< that were there already
};

}  // namespace gcvit::cli
