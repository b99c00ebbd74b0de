// SPDX-License-Identifier: Apache-2.0
#include "weights/crc32.h"

#include <zlib.h>

namespace gcvit::weights {

std::uint32_t crc32(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace gcvit::weights
