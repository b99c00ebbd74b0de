// SPDX-License-Identifier: Apache-2.0
// Divides a set into training and validation photos.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image_hash.h"
#include "data/image_set.h"

namespace gcvit::data {

/// Indices of samples, ascending in each part.
struct Partition {
  std::vector<std::size_t> train;
  std::vector<std::size_t> validation;
  /// SHA-256 of each sample's bytes, if the photos were read to divide them; else empty. A hash is empty when the photo
  /// can't be read.
  std::vector<std::string> hashes = {};
};

/// Takes about `fraction` of each class's photos for validation. Byte-identical photos, whatever their names and labels, go
/// to the same part: a class's photos are grouped by SHA-256, the groups are ordered by their bytes and `seed` alone, and
/// taken until the class has its share. So renaming photos changes nothing and adding some moves few. A class of two groups
/// or more has at least one in each part. A fraction of 0 takes none and reads nothing; else every photo is read, as
/// `options` say, and one that can't be read is a group of its own. Throws `Error` unless 0 <= fraction < 1.
Partition split_stratified(const ImageSet& set, double fraction, std::uint64_t seed, const HashOptions& options = {});

/// Shuffles all photos once by `seed` and takes the last `fraction` of them, rounded half to even, for validation, as the
/// tutorial's `train[:90%]`, `train[90%:]` of a shuffled data set. Throws like `split_stratified`.
Partition split_tutorial(const ImageSet& set, double fraction, std::uint64_t seed);

/// The division that the set itself has (`ImageSet::validates`). Throws `Error` when it has none.
Partition split_as_marked(const ImageSet& set);

/// Checks a division before training. Throws `Error` when the set has one class only, a label isn't below `classes`
/// (the head's outputs), a class of the set has no photo to train on, or `validation` is empty though `validates`.
void check_trainable(const ImageSet& set, const Partition& split, std::int32_t classes, bool validates);

}  // namespace gcvit::data
