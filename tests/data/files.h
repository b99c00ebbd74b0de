// SPDX-License-Identifier: Apache-2.0
// Made-up sources of photos.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/image_set.h"
#include "tests/weights/test_files.h"

namespace gcvit::data {

/// A folder with these empty files in it, and folders where a name ends in a slash.
struct Files : weights::TemporaryFolder {
  explicit Files(const std::vector<std::string>& names = {}) {
    for (const std::string& name : names) add(name);
  }
  void add(const std::string& name, std::string_view content = "") const {
    const std::filesystem::path path = *this / name;
    std::filesystem::create_directories(path.parent_path());
    if (!name.ends_with('/')) weights::write_text(path.string(), content);
  }
  std::string root() const { return *this / ""; }
};

/// "roses/1.jpg=0 " of each sample.
inline std::string shown(const ImageSet& set) {
  std::string text;
  for (const Sample& sample : set.samples) text += sample.name + "=" + std::to_string(sample.label) + " ";
  return text;
}

/// "roses/1.jpg=roses* " of each sample, with a star where it validates.
inline std::string shown_names(const ImageSet& set) {
  std::string text;
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    const Sample& sample = set.samples[i];
    text += sample.name + "=" + set.classes[static_cast<std::size_t>(sample.label)];
    if (!set.validates.empty() && set.validates[i]) text += "*";
    text += " ";
  }
  return text;
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace gcvit::data
