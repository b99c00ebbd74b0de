// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gcvit::formats {

/// The CRC-32 that ZIP stores of each entry (reflected polynomial 0xEDB88320). `before` is that of the bytes in front.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace gcvit::formats
