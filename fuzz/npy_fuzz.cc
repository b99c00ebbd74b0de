// SPDX-License-Identifier: Apache-2.0
// A .npy from anywhere, down to its last element. Only `gcvit::Error` may come out. Seeds: tests/data/weights/*.npy.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "gcvit/error.h"
#include "weights/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  try {
    const gcvit::Tensor tensor =
        gcvit::weights::parse_npy({static_cast<const std::byte*>(owner.get()), size}, owner, "fuzz");
    volatile float last = 0.0f;
    for (const float value : tensor.values()) last = value;
    (void)last;
  } catch (const gcvit::Error&) {
  }
  return 0;
}
