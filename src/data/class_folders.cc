// SPDX-License-Identifier: Apache-2.0
// A folder with a sub-folder for each class, or with folders for splits that have such.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "data/listing.h"
#include "data/sources.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

/// A folder and the photos below it.
struct Part {
  std::string folder;
  std::string prefix;  ///< begins the photos' names
  Listing listing;
};

/// Adds the photos in the class folders of `part`.
void add_images(ImageSet& set, Part& part) {
  std::map<std::string_view, std::int32_t> label_of;
  for (std::size_t i = 0; i < set.classes.size(); ++i) label_of.emplace(set.classes[i], static_cast<std::int32_t>(i));
  LeftOut beside{.reason = "photos beside the class folders"};
  for (const std::string& path : part.listing.images) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) {
      if (beside.count++ == 0) beside.example = part.prefix + path;
      continue;
    }
    set.samples.push_back(
        {part.prefix + path, label_of.at(std::string_view(path).substr(0, slash)), part.folder + "/" + path});
  }
  if (beside.count > 0) set.left_out.push_back(std::move(beside));
  if (part.listing.linked.count > 0) {
    set.left_out.push_back({.reason = "folders read already, by a link",
                            .count = part.listing.linked.count,
                            .example = part.prefix + part.listing.linked.example});
  }
  // Files next to the class folders, such as a licence, aren't meant to be photos, but shards are.
  LeftOut shards{.reason = "shards beside the class folders"};
  for (const auto& [ending, files] : part.listing.beside) {
    if (ending != ".tar" && !is_tfrecord_name(files.example)) continue;
    if (shards.count == 0) shards.example = part.prefix + files.example;
    shards.count += files.count;
  }
  if (shards.count > 0) set.left_out.push_back(std::move(shards));
  for (LeftOut& others : other_kinds(part.listing.others, part.prefix)) set.left_out.push_back(std::move(others));
}

/// Throws `Error` where a "class" has nothing but folders in it that another has too: then those are the classes.
void check_no_splits(const std::string& root, const Listing& listing) {
  std::map<std::string_view, std::set<std::string_view>> folders_of;
  std::set<std::string_view> with_images;
  for (const std::string& path : listing.images) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) continue;
    const std::string_view name = std::string_view(path).substr(0, slash);
    const std::string_view rest = std::string_view(path).substr(slash + 1);
    const std::size_t next = rest.find('/');
    if (next == std::string_view::npos) {
      with_images.insert(name);
    } else {
      folders_of[name].insert(rest.substr(0, next));
    }
  }
  // A single folder, such as "images", is a layer of every class.
  std::erase_if(folders_of, [&](const auto& one) { return one.second.size() < 2 || with_images.contains(one.first); });
  if (folders_of.size() < 2) return;
  // The train split has the most classes; others may lack some.
  const auto most = std::max_element(folders_of.begin(), folders_of.end(),
                                     [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  std::map<std::set<std::string_view>, std::string_view> seen;
  for (const auto& [name, folders] : folders_of) {
    const auto [equal, added] = seen.emplace(folders, name);
    std::string_view other = equal->second;
    if (added) {
      const bool inside = std::includes(most->second.begin(), most->second.end(), folders.begin(), folders.end());
      if (name == most->first || !inside) continue;
      other = most->first;
    }
    fail(
        "[data] {}: \"{}\" and \"{}\": expected a folder for each class, found the same {} folders in both, such as "
        "\"{}\": folders are splits where all of them are named train, val, test or the like",
        root, std::min(other, name), std::max(other, name), folders.size(), *folders.begin());
  }
}

/// Looks for folders that are named after splits and have photos only in folders of their own, beside others that aren't
/// named so. Throws `Error` where they are of two splits; a single one is a class, with a notice.
void check_some_splits(ImageSet& set, const std::vector<std::string>& folders, const Listing& listing) {
  std::set<std::string_view> direct;
  std::set<std::string_view> deep;
  for (const std::string& path : listing.images) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) continue;
    (path.find('/', slash + 1) == std::string::npos ? direct : deep).insert(std::string_view(path).substr(0, slash));
  }
  const std::vector<std::optional<Split>> splits = splits_of(folders);
  const auto other = std::find(splits.begin(), splits.end(), std::nullopt);
  if (other == splits.end()) return;
  const std::string& stranger = folders[static_cast<std::size_t>(other - splits.begin())];
  std::map<Split, std::string_view> found;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    if (splits[i] && deep.contains(folders[i]) && !direct.contains(folders[i])) found.emplace(*splits[i], folders[i]);
  }
  if (found.size() > 1) {
    fail(
        "[data] {}: \"{}\": expected a folder that is named after a split, as \"{}\" and \"{}\" are, or these to be "
        "classes, with photos right in them",
        set.root, stranger, found.begin()->second, std::next(found.begin())->second);
  }
  if (found.empty()) return;
  set.notices.push_back(fmt::format("{}: \"{}\" is taken as a class, as \"{}\" beside it is named after no split",
                                    set.root, found.begin()->second, stranger));
}

/// Adds the photos of each split that `options` take.
void add_splits(ImageSet& set, const std::string& base, const std::vector<SplitFolder>& splits,
                const OpenOptions& options) {
  std::vector<FoundSplit> found;
  std::vector<Part> parts;
  for (const SplitFolder& split : splits) {
    const std::string folder = base + "/" + split.name;
    Part part{folder, split.name + "/", list_below(folder)};
    found.push_back({split.name, split.split, {}, part.listing.images.size()});
    // Test photos often have no classes.
    if (split.split != Split::kTest && folders_in(folder).empty()) {
      fail("[data] {}: expected class folders, as those beside it have, found none", folder);
    }
    parts.push_back(std::move(part));
  }
  set.splits = std::move(found);
  choose_splits(set, options);

  std::set<std::string> classes;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    // Splits that are left out contribute classes too, except a test split, whose folders may not be classes.
    if (set.splits[i].use == SplitUse::kLeftOut && set.splits[i].split == Split::kTest) continue;
    for (std::string& folder : folders_in(parts[i].folder)) classes.insert(std::move(folder));
  }
  set.classes.assign(classes.begin(), classes.end());
  sort_classes(set);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    FoundSplit& split = set.splits[i];
    if (split.use == SplitUse::kLeftOut) {
      const Listing& listing = parts[i].listing;
      if (!listing.images.empty()) leave_out_split(set, split, parts[i].prefix + listing.images.front());
      continue;
    }
    add_images(set, parts[i]);
    split.images = set.samples.size() - set.validates.size();
    set.validates.resize(set.samples.size(), split.use == SplitUse::kValidates);
  }
  if (!any_validates(set)) set.validates.clear();
}

}  // namespace

std::optional<std::vector<SplitFolder>> split_folders(const std::vector<std::string>& folders) {
  if (folders.empty()) return std::nullopt;
  const std::vector<std::optional<Split>> splits = splits_of(folders);
  std::vector<SplitFolder> result;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    if (!splits[i]) return std::nullopt;
    result.push_back({folders[i], *splits[i]});
  }
  return result;
}

void check_splits(const std::string& root, std::span<const SplitFolder> splits) {
  for (std::size_t i = 0; i < splits.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (splits[i].split != splits[k].split) continue;
      fail("[data] {}: expected one folder for the {} split, found \"{}\" and \"{}\"", root, name_of(splits[i].split),
           splits[k].name, splits[i].name);
    }
  }
}

ImageSet read_class_folders(const std::string& root, const OpenOptions& options) {
  ImageSet set;
  set.root = root;
  set.kind = SourceKind::kFolders;
  const std::vector<std::string> folders = folders_in(root);
  if (folders.empty()) fail("[data] {}: expected a folder for each class, found none", root);
  const std::string base = root.ends_with('/') && root.size() > 1 ? root.substr(0, root.size() - 1) : root;
  std::optional<std::vector<SplitFolder>> splits = split_folders(folders);
  // Classes may be called "train" and "test": then they contain photos directly.
  if (splits && std::all_of(folders.begin(), folders.end(),
                            [&](const std::string& folder) { return folders_in(base + "/" + folder).empty(); })) {
    splits.reset();
  }
  if (splits) {
    check_splits(root, *splits);
    add_splits(set, base, *splits, options);
  } else {
    choose_splits(set, options);
    set.classes = folders;
    sort_classes(set);
    Part part{base, "", list_below(base)};
    check_no_splits(root, part.listing);
    check_some_splits(set, folders, part.listing);
    add_images(set, part);
  }
  for (std::size_t i = 0; i < set.classes.size(); ++i) set.present.push_back(static_cast<std::int32_t>(i));
  check_class_names(set);
  if (set.samples.empty()) {
    std::string others;
    for (const LeftOut& one : set.left_out) others += (others.empty() ? "" : " and ") + describe(one);
    fail("[data] {}: expected photos ({}) in its class folders, found {}", root, kImageKinds,
         others.empty() ? "none" : others);
  }
  return set;
}

}  // namespace gcvit::data
