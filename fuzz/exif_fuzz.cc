// SPDX-License-Identifier: Apache-2.0
// EXIF data alone: an orientation comes out whatever they are, and turns a picture without losing a pixel.
#include <algorithm>
#include <numeric>

#include "fuzz/target.h"
#include "image/decoders.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget&) {
  const int orientation = image::exif_orientation(image::as_unsigned(input.bytes));
  expect(orientation >= 1 && orientation <= 8, "an orientation");
  image::Image picture{.width = 3, .height = 2, .pixels = std::vector<std::uint8_t>(18)};
  std::iota(picture.pixels.begin(), picture.pixels.end(), std::uint8_t{0});
  const std::vector<std::uint8_t> before = picture.pixels;
  image::Image turned = image::turn_upright(std::move(picture), orientation);
  expect(turned.width == (orientation >= 5 ? 2 : 3) && turned.height == (orientation >= 5 ? 3 : 2), "turned sides");
  std::ranges::sort(turned.pixels);
  expect(turned.pixels == before, "all pixels");
}

const Registration registration({.name = "exif_fuzz", .run = run});

}  // namespace
}  // namespace gcvit::fuzz
