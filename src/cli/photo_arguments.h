// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "gcvit/classifier.h"

namespace gcvit::cli {

/// The photos that a command line names: files, folders, "-" (one photo on stdin) and "@list". Owns what stdin held.
class PhotoArguments {
 public:
  /// Throws `Error` as data::expand_photo_arguments does, and when stdin is empty or over 1 GiB; `UsageError` when "-"
  /// stands twice.
  explicit PhotoArguments(const std::vector<std::string>& arguments);
  PhotoArguments(const PhotoArguments&) = delete;
  PhotoArguments& operator=(const PhotoArguments&) = delete;

  const std::vector<Photo>& photos() const { return photos_; }

 private:
  std::vector<std::byte> stdin_bytes_;
  std::vector<Photo> photos_;
};

/// Registers the positional list of photos that `classify` and `preprocess` take.
void add_photo_list(CLI::App& app, std::vector<std::string>& photos);

}  // namespace gcvit::cli
