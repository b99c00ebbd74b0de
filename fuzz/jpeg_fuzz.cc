// SPDX-License-Identifier: Apache-2.0
// A JPEG picture, whole and at reduced sides.
#include "fuzz/containers.h"
#include "fuzz/pictures.h"
#include "fuzz/target.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget& budget) {
  decode_picture(input, budget);
  constexpr int kReductions[] = {1, 2, 4, 8};
  const int reduction = kReductions[input.bytes.size() % 4];
  image::check(image::decode_reduced(input.bytes, "input", {.max_pixels = 1 << 16},
                                     [&](std::int32_t, std::int32_t) { return reduction; }));
}

void mutate(std::string& input, std::size_t most, Random& random) { mutate_parts(input, kJpeg, most, random); }

const Registration registration({.name = "jpeg_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
