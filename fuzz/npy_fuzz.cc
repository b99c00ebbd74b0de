// SPDX-License-Identifier: Apache-2.0
// A .npy or .npz from anywhere, down to its last element; an .npz through to a model.
#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "formats/npy.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget& budget) {
  if (formats::is_zip(input.text())) {
    const formats::ZipArchive archive(input.bytes, "fuzz");
    (void)load(formats::parse_npz(archive, input.owner, "fuzz"), budget);
    return;
  }
  const Tensor tensor = formats::parse_npy(input.bytes, input.owner, "fuzz");
  volatile float last = 0.0f;
  for (const float value : tensor.values()) last = value;
  (void)last;
}

void mutate(std::string& input, std::size_t most, Random& random) {
  if (!formats::is_zip(input)) {
    mutate_parts(input, kNpy, most, random);
    return;
  }
  mutate_parts(input, kZip, most, random,
               [](Part& part, std::size_t room, Random& by) { mutate_parts(part.bytes, kNpy, room, by); });
}

const Registration registration({.name = "npy_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
