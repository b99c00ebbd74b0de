// SPDX-License-Identifier: Apache-2.0
// Which photos train and which validate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image_hash.h"
#include "data/image_set.h"

namespace gcvit::data {

/// Indices of samples, ascending on each side.
struct Split {
  std::vector<std::size_t> train;
  std::vector<std::size_t> validation;
  /// One a sample where the photos were read to split them: SHA-256 of its bytes, empty when they can't be read. Else
  /// there are none.
  std::vector<std::string> hashes = {};
};

/// Of each class about `fraction` of its photos validate. Byte-identical photos, of whatever names and labels, lie on
/// one side: those of a class are groups by SHA-256, put in an order that their bytes and `seed` alone decide and taken
/// until the class has its share, so that renaming photos changes nothing and adding some moves few. A class of two
/// groups or more has one at least on each side. A fraction of 0 gives an empty side and reads nothing; else every photo
/// is read, as `options` say, and one that can't be read is a group of its own. Throws `Error` unless 0 <= fraction < 1.
Split split_stratified(const ImageSet& set, double fraction, std::uint64_t seed, const HashOptions& options = {});

/// All photos shuffled once by `seed`; the last `fraction` of them, rounded half to even, validates, as the tutorial's
/// `train[:90%]`, `train[90%:]` of a shuffled data set. Throws like `split_stratified`.
Split split_tutorial(const ImageSet& set, double fraction, std::uint64_t seed);

/// As the set says. Throws `Error` when it doesn't.
Split split_as_marked(const ImageSet& set);

/// What must hold before the first step. Throws `Error` when the set has one class only, a label isn't below `classes`
/// (the head's outputs), a class of the set has no photo to train on, or `validation` is empty though `validates`.
void check_trainable(const ImageSet& set, const Split& split, std::int32_t classes, bool validates);

}  // namespace gcvit::data
