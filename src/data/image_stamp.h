// SPDX-License-Identifier: Apache-2.0
// Whether a photo is still the one that it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "digest/sha256.h"

namespace gcvit::data {

/// What a photo is known by when it is looked for again.
struct ImageStamp {
  bool there = false;      ///< false when its file can't be looked at: size and time mean nothing then
  std::uint64_t size = 0;  ///< bytes of the file, of the whole shard where one holds it
  std::int64_t time = 0;   ///< of the file's last change, nanoseconds since 1970
  std::string sha256;      ///< of the photo's own bytes; empty when nobody has read them
  bool operator==(const ImageStamp&) const = default;
};

/// One a sample, without hashes. Looks at each file once.
std::vector<ImageStamp> stamps_of(const ImageSet& set);

/// SHA-256 of the photo's bytes; empty when they can't be read. Throws `ResourceError` when the system is what lacks.
std::string hash_of(const Sample& sample);

/// What is kept between the photos that one thread hashes.
struct HashScratch {
  Sha256 hash;
  std::vector<std::byte> buffer;
};

/// The same, faster for many small photos; `size` gets the number of bytes. Takes 1 MiB for a file of whatever size.
std::string hash_of(const Sample& sample, HashScratch& scratch, std::uint64_t& size);

/// What a comparison of stamps comes to.
enum class Change { kNone, kUnknown, kChanged };

/// Whether the sample, whose stamp is `now`, is the one that was `before`. Where size and time differ the bytes are read
/// and held against the hash, if there is one. Without, another time alone says nothing: kUnknown.
Change change_of(const Sample& sample, const ImageStamp& before, const ImageStamp& now);

}  // namespace gcvit::data
