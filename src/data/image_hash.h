// SPDX-License-Identifier: Apache-2.0
// SHA-256 of every photo, which takes minutes to hours for large sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/image_set.h"

namespace gcvit::data {

struct HashProgress {
  std::size_t done = 0;  ///< photos
  std::size_t total = 0;
  std::uint64_t bytes = 0;  ///< read so far
};

struct HashOptions {
  int threads = 0;  ///< number of threads that read and hash; 0: one for each processor
  /// Called on the caller's thread before the first photo, about ten times a second and at the end. What it throws ends the reading.
  std::function<void(const HashProgress&)> progress = [](const HashProgress&) {};
};

/// SHA-256 of each sample's bytes, empty when they can't be read; the same for any number of threads. Throws
/// `ResourceError` when memory or file descriptors run out.
std::vector<std::string> hashes_of(const ImageSet& set, const HashOptions& options = {});

}  // namespace gcvit::data
