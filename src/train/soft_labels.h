// SPDX-License-Identifier: Apache-2.0
// A teacher's logits for each photo, for distillation: a text file with one JSON object per line,
//   {"image": "roses/12.jpg", "logits": [0.1, 7.2, -1.0]}
// `image` is the photo's name in the data set (its path below the folder), `logits` has a number for each class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image_set.h"

namespace gcvit::train {

class SoftLabels {
 public:
  /// Ignores photos that the set doesn't have; for a `needed` sample without a line the label stands for the teacher.
  /// Throws `Error` with the line number for a line of another form, a repeated photo, or anything but `classes` finite
  /// numbers, and when no line is for a photo of the set.
  SoftLabels(const std::string& file, const data::ImageSet& set, std::span<const std::size_t> needed,
             std::int32_t classes, double temperature);

  /// softmax(logits / temperature) of a needed sample.
  std::span<const float> of(std::size_t sample) const;

  /// Number of needed samples without a line.
  std::size_t without() const { return without_; }

 private:
  std::size_t classes_;
  std::vector<std::size_t> rows_;  ///< by sample
  std::vector<float> probabilities_;
  std::size_t without_ = 0;
};

}  // namespace gcvit::train
