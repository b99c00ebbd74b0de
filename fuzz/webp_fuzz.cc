// SPDX-License-Identifier: Apache-2.0
// A WebP picture.
#include "fuzz/containers.h"
#include "fuzz/pictures.h"
#include "fuzz/target.h"

namespace gcvit::fuzz {
namespace {

void mutate(std::string& input, std::size_t most, Random& random) { mutate_parts(input, kWebp, most, random); }

const Registration registration({.name = "webp_fuzz", .run = decode_picture, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
