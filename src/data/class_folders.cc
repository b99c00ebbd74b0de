// SPDX-License-Identifier: Apache-2.0
// A folder with a sub-folder for each class, or with train and val folders of such.
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "data/listing.h"
#include "data/sides.h"
#include "data/sources.h"
#include "tensor/error.h"

namespace gcvit::data {
namespace {

/// The sides of a root that has nothing but train and val folders, each with folders below; else nothing.
std::optional<Sides> sides_of(const std::string& root, const std::vector<std::string>& folders) {
  std::optional<Sides> sides = sides_among({folders.begin(), folders.end()});
  if (!sides) return std::nullopt;
  // Classes may be called "train" and "test": then photos lie right in them.
  for (const std::string& folder : folders) {
    if (folders_in(root + "/" + folder).empty()) return std::nullopt;
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
  const std::optional<Sides> sides = sides_of(base, folders);
  if (!sides) {
    set.classes = folders;
    add_photos(set, base, "");
  } else {
    std::set<std::string> classes;
    for (const std::string& side : {std::string("train"), sides->validation}) {
      for (std::string& folder : folders_in(base + "/" + side)) classes.insert(std::move(folder));
    }
    set.classes.assign(classes.begin(), classes.end());
    add_photos(set, base + "/train", "train/");
    set.validates.assign(set.samples.size(), false);
    add_photos(set, base + "/" + sides->validation, sides->validation + "/");
    set.validates.resize(set.samples.size(), true);
    if (sides->validation == "test") {
      set.notices.push_back(fmt::format("{}: there is no val folder: the photos in test validate", root));
    }
    for (const std::string& other : sides->others) {
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
