// SPDX-License-Identifier: Apache-2.0
// Any bytes give an error or a picture that keeps its promises; a picture can be preprocessed.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gcvit/error.h"
#include "image/decode.h"
#include "image/preprocess.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gcvit::image;
  DecodeOptions options;
  options.max_pixels = 1 << 14;
  try {
    const Image image = decode(std::as_bytes(std::span(data, size)), "input", options);
    check(image);
    std::vector<float> out(16 * 24 * 3);
    for (const Preset preset : {Preset::kTimm, Preset::kKeras, Preset::kKerasTrain}) {
      preprocess(image, make_preprocess_config(preset, "", 16, 24), out);
    }
  } catch (const gcvit::Error&) {
    // What a broken picture should end in.
  }
  return 0;
}
