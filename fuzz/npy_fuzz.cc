// SPDX-License-Identifier: Apache-2.0
// A .npy or .npz from anywhere, down to its last element. Only `gcvit::Error` may come out. Seeds:
// tests/data/weights/*.np[yz].
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "gcvit/error.h"
#include "weights/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  const std::span<const std::byte> bytes(owner.get(), size);
  try {
    if (gcvit::weights::is_zip({reinterpret_cast<const char*>(bytes.data()), size})) {
      const gcvit::weights::ZipArchive archive(bytes, "fuzz");
      for (const auto& entry : gcvit::weights::parse_npz(archive, owner, "fuzz").tensors) (void)entry.tensor.to_f32();
      return 0;
    }
    const gcvit::Tensor tensor = gcvit::weights::parse_npy(bytes, owner, "fuzz");
    volatile float last = 0.0f;
    for (const float value : tensor.values()) last = value;
    (void)last;
  } catch (const gcvit::Error&) {
  }
  return 0;
}
