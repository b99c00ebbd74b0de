// SPDX-License-Identifier: Apache-2.0
// SHA-256 of every photo, which large sets take minutes to hours for.
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
  std::uint64_t bytes = 0;  ///< that were read
};

struct HashOptions {
  int threads = 0;  ///< that read and hash; 0: as many as there are processors
  /// Called before the first photo, about ten times a second and at the end, by the caller's thread. What it throws ends the reading.
  std::function<void(const HashProgress&)> progress = [](const HashProgress&) {};
};

/// One a sample: SHA-256 of the photo's bytes, empty when they can't be read. Never depends on threads. Throws
/// `ResourceError` when the system is what lacks.
std::vector<std::string> hashes_of(const ImageSet& set, const HashOptions& options = {});

}  // namespace gcvit::data
