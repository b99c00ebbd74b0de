// SPDX-License-Identifier: Apache-2.0
#include "weights/imagenet_classes.h"

namespace gcvit::weights {

std::span<const ImageNetClass> imagenet_classes() {
  static constexpr ImageNetClass kClasses[] = {
#include "weights/imagenet_classes.inc"
  };
  return kClasses;
}

}  // namespace gcvit::weights
