// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include "tensor/error.h"

namespace gcvit::data {

std::size_t view_size(const AugmentConfig& config) {
  return static_cast<std::size_t>(config.target.height) * static_cast<std::size_t>(config.target.width) * 3;
}

void check(const AugmentConfig& config) { image::check(config.target); }

std::string describe(const AugmentConfig& config) { return image::describe(config.target); }

void make_view(std::span<const std::byte> bytes, std::string_view name, const AugmentConfig& config, Random,
               std::span<float> view, ViewScratch& scratch) {
  image::preprocess(image::decode(bytes, name, config.decode), config.target, view, scratch.preprocess);
}

}  // namespace gcvit::data
