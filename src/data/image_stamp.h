// SPDX-License-Identifier: Apache-2.0
// Detects whether a photo has changed since a run began.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "digest/sha256.h"

namespace gcvit::data {

/// Identifies the contents of a photo.
struct ImageStamp {
  bool there = false;      ///< false when its file's status can't be read: size and time are then meaningless
  std::uint64_t size = 0;  ///< bytes of the file, of the whole shard where one holds it
  std::int64_t time = 0;   ///< of the file's last change, nanoseconds since 1970
  std::string sha256;      ///< of the photo's own bytes; empty when they were not read
  bool operator==(const ImageStamp&) const = default;
};

/// The stamp of each sample, without hashes. Reads each file's status once.
std::vector<ImageStamp> stamps_of(const ImageSet& set);

/// SHA-256 of the photo's bytes; empty when they can't be read. Throws `ResourceError` when memory or file
/// descriptors run out.
std::string hash_of(const Sample& sample);

/// Buffers that a thread reuses between the photos it hashes.
struct HashScratch {
  Sha256 hash;
  std::vector<std::byte> buffer;
};

/// The same, faster for many small photos; `size` gets the number of bytes. Takes 1 MiB for a file of whatever size.
std::string hash_of(const Sample& sample, HashScratch& scratch, std::uint64_t& size);

/// The result of comparing stamps.
enum class Change { kNone, kUnknown, kChanged };

/// Whether the sample, whose stamp is `now`, has changed since its stamp was `before`. When size or time differ, the bytes are
/// read and compared with the hash, if there is one. Without a hash, a different time alone gives kUnknown.
Change change_of(const Sample& sample, const ImageStamp& before, const ImageStamp& now);

}  // namespace gcvit::data
