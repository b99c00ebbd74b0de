// SPDX-License-Identifier: Apache-2.0
// A folder with a sub-folder for each class, or with train and val folders of such.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "data/listing.h"
#include "data/sources.h"
#include "tensor/error.h"

namespace gcvit::data {
namespace {

/// What the folder that validates may be called; the first that is there is taken.
constexpr std::array<std::string_view, 4> kValidationNames = {"val", "validation", "valid", "test"};

/// The sides of a root that has nothing but train and val folders, each with folders below; else none.
struct Sides {
  std::string validation;  ///< its folder's name; empty if this is no such root
  std::vector<std::string> others;  ///< folders for a third side
};

Sides sides_of(const std::string& root, const std::vector<std::string>& folders) {
  Sides sides;
  bool trains = false;
  for (const std::string& folder : folders) {
    if (folder == "train") {
      trains = true;
    } else if (std::find(kValidationNames.begin(), kValidationNames.end(), folder) == kValidationNames.end()) {
      return {};
    }
  }
  if (!trains) return {};
  for (const std::string_view name : kValidationNames) {
    if (std::find(folders.begin(), folders.end(), name) == folders.end()) continue;
    // Classes may be called "train" and "test": then photos lie right in them.
    if (folders_in(root + "/" + std::string(name)).empty() || folders_in(root + "/train").empty()) return {};
    if (sides.validation.empty()) {
      sides.validation = name;
    } else {
      sides.others.emplace_back(name);
    }
  }
  return sides;
}

/// Adds the photos in the class folders of `folder`; `prefix` begins their names.
void add_photos(PhotoSet& set, const std::string& folder, const std::string& prefix) {
  std::map<std::string_view, std::int32_t> label_of;
  for (std::size_t i = 0; i < set.classes.size(); ++i) label_of.emplace(set.classes[i], static_cast<std::int32_t>(i));
  std::size_t beside = 0;
  for (const std::string& path : photos_below(folder)) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) {
      ++beside;
      continue;
    }
    set.samples.push_back({prefix + path, label_of.at(std::string_view(path).substr(0, slash)), folder + "/" + path});
  }
  if (beside > 0) {
    set.notices.push_back(fmt::format("{}: {} photos beside the class folders are left out", folder, beside));
  }
}

}  // namespace

PhotoSet read_class_folders(const std::string& root) {
  PhotoSet set;
  set.root = root;
  const std::vector<std::string> folders = folders_in(root);
  if (folders.empty()) fail("[data] {}: expected a folder for each class, found none", root);
  const std::string base = root.ends_with('/') && root.size() > 1 ? root.substr(0, root.size() - 1) : root;
  const Sides sides = sides_of(base, folders);
  if (sides.validation.empty()) {
    set.classes = folders;
    add_photos(set, base, "");
  } else {
    std::set<std::string> classes;
    for (const std::string& side : {std::string("train"), sides.validation}) {
      for (std::string& folder : folders_in(base + "/" + side)) classes.insert(std::move(folder));
    }
    set.classes.assign(classes.begin(), classes.end());
    add_photos(set, base + "/train", "train/");
    set.validates.assign(set.samples.size(), false);
    add_photos(set, base + "/" + sides.validation, sides.validation + "/");
    set.validates.resize(set.samples.size(), true);
    if (sides.validation == "test") {
      set.notices.push_back(fmt::format("{}: there is no val folder: the photos in test validate", root));
    }
    for (const std::string& other : sides.others) {
      set.notices.push_back(fmt::format("{}: the photos in {} are left out", root, other));
    }
  }
  for (std::size_t i = 0; i < set.classes.size(); ++i) set.present.push_back(static_cast<std::int32_t>(i));
  if (set.samples.empty()) {
    fail("[data] {}: expected photos (jpg, jpeg, png, webp) in its class folders, found none", root);
  }
  return set;
}

}  // namespace gcvit::data
