// SPDX-License-Identifier: Apache-2.0
// The safetensors format: 8 bytes of header length (little-endian), a JSON header
//   {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
// and the tensors' bytes, little-endian, C order, one behind the other without holes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "formats/raw_file.h"

namespace gcvit::formats {

/// The longest header that is read or written: a million class names take half of it. The format's own limit is
/// 100,000,000.
inline constexpr std::uint64_t kMaximalSafetensorsHeader = std::uint64_t{64} << 20;

/// Maps and checks a file. Throws `Error` naming file, tensor and offset when anything is not as the format says:
/// header length, JSON, doubled names, dtype (F32 F16 BF16 F64 I64 I32 I8 U8 are read), shape arithmetic, offsets that
/// overlap, leave holes or leave the file. Nothing is allocated by a size that the file claims.
RawFile read_safetensors(const std::string& path);

/// The same from memory; `file` names it in errors, `owner` keeps `bytes` alive for the tensors.
RawFile parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file);

/// Writes tensors in the order the reference library writes them (wider dtypes first, then by name), whole or not at
/// all. Throws `Error` on doubled names or text that is not UTF-8.
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace gcvit::formats
