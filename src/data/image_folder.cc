// SPDX-License-Identifier: Apache-2.0
#include "data/image_folder.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "data/listing.h"
#include "tensor/error.h"

namespace gcvit::data {
namespace {

constexpr std::int32_t kAmbiguous = -1;

/// Two names are one when they differ in nothing but the case of ASCII letters and `_` for a space.
std::string canonical(std::string_view name) {
  std::string result(name);
  for (char& letter : result) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    if (letter == '_') letter = ' ';
  }
  return result;
}

/// From a folder's canonical name to its class.
std::map<std::string, std::int32_t> class_of_name(std::span<const std::string> class_names,
                                                  std::span<const std::string> wordnet_ids) {
  std::map<std::string, std::int32_t> classes;
  for (const std::span<const std::string> names : {class_names, wordnet_ids}) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto label = static_cast<std::int32_t>(i);
      const auto [entry, added] = classes.emplace(canonical(names[i]), label);
      if (!added && entry->second != label) entry->second = kAmbiguous;
    }
  }
  return classes;
}

/// The class of each folder, in their order.
std::vector<std::int32_t> labels_of(const std::vector<std::string>& folders, std::span<const std::string> class_names,
                                    std::span<const std::string> wordnet_ids, ImageFolder& result) {
  const std::map<std::string, std::int32_t> classes = class_of_name(class_names, wordnet_ids);
  std::vector<std::int32_t> labels;
  std::optional<std::string> stranger;
  for (const std::string& folder : folders) {
    const auto found = classes.find(canonical(folder));
    if (found == classes.end()) {
      if (!stranger) stranger = folder;
      continue;
    }
    if (found->second == kAmbiguous) {
      fail("[data] {}: folder \"{}\": two classes have that name; name it by its WordNet id", result.root, folder);
    }
    labels.push_back(found->second);
  }
  if (!stranger) return labels;
  if (!labels.empty()) {
    fail("[data] {}: folder \"{}\": expected a class of the model, as {} other folders are, found no such class",
         result.root, *stranger, labels.size());
  }
  if (folders.size() > class_names.size()) {
    fail("[data] {}: expected at most {} class folders, found {}", result.root, class_names.size(), folders.size());
  }
  result.notices.push_back(
      fmt::format("{}: no folder has the name of a class of the model: sorted folders are taken as classes 0 to {}, "
                  "\"{}\" as \"{}\"",
                  result.root, folders.size() - 1, folders.front(), class_names.front()));
  for (std::size_t i = 0; i < folders.size(); ++i) labels.push_back(static_cast<std::int32_t>(i));
  return labels;
}

}  // namespace

ImageFolder read_image_folder(const std::string& root, std::span<const std::string> class_names,
                              std::span<const std::string> wordnet_ids) {
  ImageFolder result;
  result.root = root;
  const std::vector<std::string> folders = folders_in(root);
  if (folders.empty()) fail("[data] {}: expected a folder for each class, found none", root);
  const std::vector<std::int32_t> labels = labels_of(folders, class_names, wordnet_ids, result);
  std::map<std::string_view, std::int32_t> label_of;
  for (std::size_t i = 0; i < folders.size(); ++i) label_of.emplace(folders[i], labels[i]);

  std::size_t beside = 0;
  for (std::string& path : photos_below(root)) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) {
      ++beside;
      continue;
    }
    const std::int32_t label = label_of.at(std::string_view(path).substr(0, slash));
    result.photos.push_back({std::move(path), label});
  }
  if (result.photos.empty()) {
    fail("[data] {}: expected photos (jpg, jpeg, png, webp) in its class folders, found none", root);
  }
  if (beside > 0) {
    result.notices.push_back(fmt::format("{}: {} photos beside the class folders are left out", root, beside));
  }
  return result;
}

void restrict_to_list(ImageFolder& folder, const std::string& list_file) {
  std::set<std::string> wanted;
  for (std::string& line : read_lines(list_file)) wanted.insert(std::move(line));
  if (wanted.empty()) fail("[data] {}: expected a path a line, found none", list_file);
  std::vector<LabelledPhoto> kept;
  for (LabelledPhoto& photo : folder.photos) {
    if (wanted.erase(photo.path) > 0) kept.push_back(std::move(photo));
  }
  if (!wanted.empty()) {
    fail("[data] {}: \"{}\": expected a photo in a class folder of {}, found none ({} such lines)", list_file,
         *wanted.begin(), folder.root, wanted.size());
  }
  folder.photos = std::move(kept);
}

}  // namespace gcvit::data
