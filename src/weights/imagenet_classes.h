// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace gcvit::weights {

/// One of the 1000 classes of ImageNet-1k.
struct ImageNetClass {
  std::string_view wordnet_id;  ///< "n01440764"
  std::string_view label;       ///< "tench", words joined by _
};

/// All 1000, in the order of the models' outputs.
std::span<const ImageNetClass> imagenet_classes();

}  // namespace gcvit::weights
