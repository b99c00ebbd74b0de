// SPDX-License-Identifier: Apache-2.0
// Made-up tf.Examples, as protocol buffers have them on the wire.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tfrecord.h"

namespace gcvit::data {

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}

/// Field `number` whose value is text or a message.
inline std::string field(int number, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}

inline std::string bytes_feature(const std::string& bytes) { return field(1, field(1, bytes)); }
inline std::string packed_feature(const std::vector<std::uint64_t>& values) {
  std::string packed;
  for (const std::uint64_t value : values) packed += varint(value);
  return field(3, field(1, packed));
}
inline std::string integer_feature(std::uint64_t value) { return field(3, varint(1 << 3) + varint(value)); }
inline std::string float_feature() { return field(2, field(1, std::string(8, '\0'))); }

inline std::string example_of(const std::vector<std::pair<std::string, std::string>>& features) {
  std::string entries;
  for (const auto& [name, feature] : features) entries += field(1, field(1, name) + field(2, feature));
  return field(1, entries);
}

/// A file of such records.
inline std::string records_of(const std::vector<std::string>& records) {
  std::string file;
  for (const std::string& record : records) {
    const std::vector<std::byte> frame = tfrecord_frame(std::as_bytes(std::span(record)));
    file.append(reinterpret_cast<const char*>(frame.data()), frame.size());
  }
  return file;
}

}  // namespace gcvit::data
