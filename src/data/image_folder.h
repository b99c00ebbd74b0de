// SPDX-License-Identifier: Apache-2.0
// Labelled photos: a folder with a sub-folder for each class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gcvit::data {

struct LabelledPhoto {
  std::string path;        ///< below the root: "roses/12.jpg"
  std::int32_t label = 0;  ///< the class's index
};

struct ImageFolder {
  std::string root;
  std::vector<LabelledPhoto> photos;  ///< by sorted path
  std::vector<std::string> notices;   ///< sentences for people about how the folder was understood
};

/// Reads `root`. A sub-folder belongs to the class that has its name (case and `_` for a space aside) or its WordNet
/// id (`wordnet_ids`: one a class, or empty). When no sub-folder has one, sorted sub-folders are classes 0..n-1, with a
/// notice. Photos in deeper folders count; photos beside the class folders don't, with a notice.
///
/// Throws `Error` when the folder is missing or unreadable, has no sub-folders or no photos, when some sub-folders
/// match and one doesn't, when one matches two classes, or when there are more of them than classes.
ImageFolder read_image_folder(const std::string& root, std::span<const std::string> class_names,
                              std::span<const std::string> wordnet_ids);

/// Keeps only the photos that `list_file` names, paths below the root, one a line; their order doesn't matter. Throws
/// `Error` when it names a photo that isn't there, or none.
void restrict_to_list(ImageFolder& folder, const std::string& list_file);

}  // namespace gcvit::data
