// SPDX-License-Identifier: Apache-2.0
// What the targets share that read labelled photos.
#pragma once

#include "data/image_set.h"
#include "fuzz/target.h"

namespace gcvit::fuzz {

inline void check(const data::ImageSet& set) {
  for (const data::Sample& sample : set.samples) {
    expect(sample.label >= 0 && static_cast<std::size_t>(sample.label) < set.classes.size(), "a label of a class");
  }
  expect(set.validates.empty() || set.validates.size() == set.samples.size(), "a side for each photo or none");
}

}  // namespace gcvit::fuzz
