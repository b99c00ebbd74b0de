// SPDX-License-Identifier: Apache-2.0
// What the targets share that decode pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/target.h"
#include "image/decode.h"
#include "image/preprocess.h"

namespace gcvit::fuzz {

/// Any bytes give an error or a picture that keeps its promises; a picture can be preprocessed.
inline void decode_picture(const Input& input, Budget& budget) {
  constexpr std::uint64_t kMostPixels = 1 << 16;
  constexpr std::uint64_t kBytesPerPixel = 4 * 3;
  constexpr std::uint64_t kTables = std::uint64_t{64} << 20;  // what docs/preprocessing.md allows beside pixels
  budget.bytes = 2 * budget.file + kMostPixels * kBytesPerPixel + kTables;
  image::DecodeOptions options;
  options.max_pixels = kMostPixels;
  const image::Image image = image::decode(input.bytes, "input", options);
  image::check(image);
  expect(image.pixels.size() <= kMostPixels * 3, "a picture within the limit");
  std::vector<float> out(16 * 24 * 3);
  for (const image::Preset preset : {image::Preset::kTimm, image::Preset::kKeras, image::Preset::kKerasTrain}) {
    image::preprocess(image, image::make_preprocess_config(preset, "", 16, 24), out);
  }
}

}  // namespace gcvit::fuzz
