// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "gcvit/classifier.h"

namespace gcvit::cli {

/// The photos that a command line names: files, folders, "-" (one photo on stdin) and "@list". Owns what stdin held.
class ImageArguments {
 public:
  /// Throws `Error` as data::expand_image_arguments does, and when stdin is empty or over 1 GiB; `UsageError` when "-"
  /// stands twice.
  explicit ImageArguments(const std::vector<std::string>& arguments);
  ImageArguments(const ImageArguments&) = delete;
  ImageArguments& operator=(const ImageArguments&) = delete;

  const std::vector<Image>& images() const { return images_; }

 private:
  std::vector<std::byte> stdin_bytes_;
  std::vector<Image> images_;
};

/// Registers the positional list of photos that `classify` and `preprocess` take.
void add_image_list(CLI::App& app, std::vector<std::string>& images);

}  // namespace gcvit::cli
