// SPDX-License-Identifier: Apache-2.0
// SHA-256 of every photo, which large sets take minutes to hours for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/photo_set.h"
#include "data/photo_stamp.h"

namespace gcvit::data {

/// Hashes that were computed before, by the photo's name and what its file's size and time were then.
class HashCache {
 public:
  /// What `write` left in the file; empty where there is none. Throws `Error` when it can't be read or isn't such a file.
  static HashCache read(const std::string& file);
  /// Writes the file anew, whole or not at all. Names with a line end or a zero byte in them aren't kept.
  void write(const std::string& file) const;

  /// The hash of a photo whose stamp is still the same; else nullptr.
  const std::string* find(const std::string& name, const PhotoStamp& stamp) const;
  /// Keeps the stamp's hash, unless it has none or the file wasn't there.
  void keep(const std::string& name, const PhotoStamp& stamp);
  std::size_t size() const { return stamps_.size(); }

 private:
  std::unordered_map<std::string, PhotoStamp> stamps_;
};

struct HashProgress {
  std::size_t done = 0;  ///< photos, those that the cache knew too
  std::size_t total = 0;
  std::uint64_t bytes = 0;  ///< that were read
};

struct HashOptions {
  int threads = 0;  ///< that read and hash; 0: as many as there are processors
  /// One a sample, without hashes, from before any photo was read: what `cache` goes by. Empty without a cache.
  std::span<const PhotoStamp> stamps = {};
  /// Saves the photos that it knows from being read; gets the others' hashes, also where `progress` throws.
  HashCache* cache = nullptr;
  /// Called about ten times a second and at the end, by the caller's thread. What it throws ends the reading.
  std::function<void(const HashProgress&)> progress = [](const HashProgress&) {};
};

/// One a sample: SHA-256 of the photo's bytes, empty when they can't be read. Never depends on threads. Throws
/// `ResourceError` when the system is what lacks.
std::vector<std::string> hashes_of(const PhotoSet& set, const HashOptions& options = {});

}  // namespace gcvit::data
