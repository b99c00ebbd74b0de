// SPDX-License-Identifier: Apache-2.0
#include "weights/crc32.h"

#include <array>
#include <bit>
#include <cstring>

namespace gcvit::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "eight bytes are taken as one number");

using Table = std::array<std::uint32_t, 256>;

/// kTables[k][b]: what byte b does to the remainder with k more bytes behind it. Eight bytes are eight look-ups that
/// don't wait for each other.
constexpr std::array<Table, 8> kTables = [] {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = remainder >> 1 ^ (remainder & 1 ? 0xEDB88320u : 0u);
    tables[0][byte] = remainder;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t remainder = 0xFFFFFFFFu;
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    word ^= remainder;
    remainder = 0;
    for (std::size_t k = 0; k < 8; ++k) remainder ^= kTables[7 - k][word >> (8 * k) & 0xff];
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) {
    remainder = remainder >> 8 ^ kTables[0][(remainder ^ static_cast<std::uint32_t>(byte)) & 0xff];
  }
  return ~remainder;
}

}  // namespace gcvit::weights
