// SPDX-License-Identifier: Apache-2.0
#include "inference/labels.h"

#include <map>
#include <string_view>

#include "weights/imagenet_classes.h"

namespace gcvit::inference {

std::vector<std::string> class_labels(const weights::ModelInfo& info) {
  if (!info.classes.empty()) return info.classes;
  const auto count = static_cast<std::size_t>(info.config.classes);
  const std::span<const weights::ImageNetClass> imagenet = weights::imagenet_classes();
  std::vector<std::string> labels;
  labels.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    labels.push_back(count == imagenet.size() ? std::string(imagenet[i].label) : "class " + std::to_string(i));
  }
  return labels;
}

std::vector<std::string> wordnet_ids(const std::vector<std::string>& labels) {
  // Two names stand twice in ImageNet ("crane", "maillot"): the first of them is taken first.
  std::multimap<std::string_view, std::string_view> id_of;
  for (const weights::ImageNetClass& one : weights::imagenet_classes()) id_of.emplace(one.label, one.wordnet_id);
  std::vector<std::string> ids;
  ids.reserve(labels.size());
  for (const std::string& label : labels) {
    const auto found = id_of.lower_bound(label);
    if (found == id_of.end() || found->first != label) return {};
    ids.emplace_back(found->second);
    id_of.erase(found);
  }
  return ids;
}

}  // namespace gcvit::inference
