// SPDX-License-Identifier: Apache-2.0
// A weight file from anywhere: read, names mapped, config inferred or parsed, model loaded.
#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "formats/safetensors.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget& budget) {
  (void)load(formats::parse_safetensors(input.bytes, input.owner, "fuzz"), budget);
}

const Registration registration({.name = "safetensors_fuzz", .run = run, .mutate = mutate_safetensors});

}  // namespace
}  // namespace gcvit::fuzz
