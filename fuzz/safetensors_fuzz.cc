// SPDX-License-Identifier: Apache-2.0
// A weight file from anywhere: read, names mapped, config inferred or parsed, model loaded. Only `gcvit::Error` may
// come out. The same bytes are also read as the index of a sharded file. Seeds: tests/data/weights/*.safetensors and
// tests/data/weights/sharded.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "gcvit/error.h"
#include "weights/load.h"
#include "weights/safetensors.h"
#include "weights/sharded_safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, aligned as a mapped file is.
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  try {
    gcvit::weights::RawFile raw =
        gcvit::weights::parse_safetensors({static_cast<const std::byte*>(owner.get()), size}, owner, "fuzz");
    (void)gcvit::weights::load_model(std::move(raw), "fuzz");
  } catch (const gcvit::Error&) {
  }
  try {
    (void)gcvit::weights::parse_shard_index({static_cast<const std::byte*>(owner.get()), size}, "fuzz");
  } catch (const gcvit::Error&) {
  }
  return 0;
}
