// SPDX-License-Identifier: Apache-2.0
// Another reader of ZIP files than the program's: for references whose entries are compressed, and to hold what is
// written against the format.
#pragma once

#include <zlib.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

namespace gcvit::testing {

/// The entries of a ZIP (no ZIP64, no comment at the end) by their names. Throws std::runtime_error when anything in it
/// contradicts anything else: counts, sizes, the local headers, checksums.
inline std::map<std::string, std::string> unzip(const std::string& path) {
  static_assert(std::endian::native == std::endian::little);
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto check = [&](bool holds, const char* what) {
    if (!holds) throw std::runtime_error(path + ": " + what);
  };
  const auto number = [&](std::size_t place, std::size_t size) {
    check(place <= text.size() && size <= text.size() - place, "ends early");
    std::uint32_t value = 0;
    std::memcpy(&value, text.data() + place, size);
    return value;
  };
  check(text.size() >= 22 && text.compare(text.size() - 22, 4, "PK\x05\x06") == 0, "no end of the directory");
  const std::size_t end = text.size() - 22;
  std::map<std::string, std::string> entries;
  std::size_t place = number(end + 16, 4);
  check(place + number(end + 12, 4) == end, "the directory's size");
  const std::uint32_t count = number(end + 10, 2);
  for (std::uint32_t i = 0; i < count; ++i) {
    check(number(place, 4) == 0x02014b50, "no entry of the directory");
    const std::uint32_t method = number(place + 10, 2);
    const std::uint32_t packed = number(place + 20, 4);
    const std::uint32_t size = number(place + 24, 4);
    const std::string name = text.substr(place + 46, number(place + 28, 2));
    const std::size_t local = number(place + 42, 4);
    check(number(local, 4) == 0x04034b50, "no local header");
    for (std::size_t field = 0; field < 22; field += 2) {  // version to the sizes, then the name's length
      check(number(local + 4 + field, 2) == number(place + 6 + field, 2), "the headers differ");
    }
    check(text.compare(local + 30, name.size(), name) == 0, "the names differ");
    const std::size_t data = local + 30 + name.size() + number(local + 28, 2);
    check(data <= end && packed <= end - data, "an entry's data");
    std::string bytes(size, '\0');
    if (method == 0) {
      check(packed == size, "a stored entry's sizes");
      bytes = text.substr(data, size);
    } else {
      z_stream stream{};
      check(method == 8 && inflateInit2(&stream, -MAX_WBITS) == Z_OK, "another method");
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data() + data));
      stream.avail_in = packed;
      stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
      stream.avail_out = size;
      const int result = inflate(&stream, Z_FINISH);
      inflateEnd(&stream);
      check(result == Z_STREAM_END && stream.avail_out == 0, "compressed bytes");
    }
    check(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == number(place + 16, 4), "a CRC");
    check(entries.emplace(name, std::move(bytes)).second, "a name that comes twice");
    place += 46 + name.size() + number(place + 30, 2) + number(place + 32, 2);
  }
  check(place == end, "the directory's end");
  return entries;
}

}  // namespace gcvit::testing
