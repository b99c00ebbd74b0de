// SPDX-License-Identifier: Apache-2.0
// Made-up tar archives.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace gcvit::data {

inline std::string with_checksum(std::string header) {
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char letter : header) sum += static_cast<unsigned char>(letter);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  return header.replace(148, 7, digits, 7);
}

inline std::string header_of(const std::string& path, std::size_t size, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, path.size(), path);
  char digits[13];
  std::snprintf(digits, sizeof digits, "%011zo", size);
  header.replace(124, 12, digits, 12);
  header[156] = type;
  header.replace(257, 8,
                 std::string("ustar\0"
                             "00",
                             8));
  return with_checksum(header);
}

inline std::string member_of(const std::string& path, const std::string& content, char type = '0') {
  return header_of(path, content.size(), type) + content + std::string((512 - content.size() % 512) % 512, '\0');
}

/// A shard of one photo.
inline std::string shard_of(const std::string& key, const std::string& label) {
  return member_of(key + ".jpg", "photo " + key) + member_of(key + ".cls", label);
}

}  // namespace gcvit::data
