// SPDX-License-Identifier: Apache-2.0
#include "weights/zip_writer.h"

#include <bit>

#include "base/error.h"
#include "weights/crc32.h"

namespace gcvit::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kLocalHeaderSize = 30;
constexpr std::uint64_t kLargestFile = 0xfffffffe;
constexpr std::size_t kMostEntries = 0xfffe;
constexpr std::uint16_t kVersion = 20;       ///< of ZIP, enough for stored entries
constexpr std::uint16_t kUtf8Names = 1 << 11;
constexpr std::uint16_t kTime = 0;
constexpr std::uint16_t kDate = 1 << 5 | 1;  ///< 1 January 1980, the first day a ZIP knows
constexpr std::string_view kPadding = "FB";  ///< the id of the extra field that torch pads with

template <typename Number>
void append(std::string& text, Number number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// What local headers and the directory have in common.
std::string shared_fields(std::string_view name, std::uint32_t crc, std::uint32_t size, std::uint16_t extra_size) {
  std::string text;
  append(text, kVersion);
  append(text, kUtf8Names);
  append(text, std::uint16_t{0});  // stored
  append(text, kTime);
  append(text, kDate);
  append(text, crc);
  append(text, size);
  append(text, size);
  append(text, static_cast<std::uint16_t>(name.size()));
  append(text, extra_size);
  return text;
}

}  // namespace

void ZipWriter::write(std::span<const std::byte> bytes) {
  file_.write(bytes);
  place_ += bytes.size();
}

void ZipWriter::add(std::string_view name, std::span<const std::byte> bytes) {
  // With the directory still to come; what it adds is checked at the end.
  if (name.size() > 0xffff || entries_ == kMostEntries || bytes.size() > kLargestFile ||
      place_ + kLocalHeaderSize + name.size() + 2 * kAlignment + bytes.size() > kLargestFile) {
    fail("[zip] {}: expected at most 4 GB in {} entries, found more", path_, kMostEntries);
  }
  const std::uint64_t begin = place_;
  const std::uint64_t unpadded = begin + kLocalHeaderSize + name.size() + 4;
  const auto padding = static_cast<std::uint16_t>((kAlignment - unpadded % kAlignment) % kAlignment);
  const std::uint32_t crc = crc32(bytes);
  const auto size = static_cast<std::uint32_t>(bytes.size());

  std::string header = "PK\x03\x04";
  header += shared_fields(name, crc, size, static_cast<std::uint16_t>(4 + padding));
  header += name;
  header += kPadding;
  append(header, padding);
  header.append(padding, 'Z');
  write(header);
  write(bytes);

  directory_ += "PK\x01\x02";
  append(directory_, kVersion);
  directory_ += shared_fields(name, crc, size, 0);
  directory_.append(10, '\0');  // comment, disk, attributes
  append(directory_, static_cast<std::uint32_t>(begin));
  directory_ += name;
  ++entries_;
}

void ZipWriter::finish() {
  const std::uint64_t begin = place_;
  if (begin + directory_.size() > kLargestFile) fail("[zip] {}: expected at most 4 GB, found more", path_);
  const auto entries = static_cast<std::uint16_t>(entries_);
  std::string end("PK\x05\x06\0\0\0\0", 8);
  append(end, entries);
  append(end, entries);
  append(end, static_cast<std::uint32_t>(directory_.size()));
  append(end, static_cast<std::uint32_t>(begin));
  append(end, std::uint16_t{0});
  write(directory_);
  write(end);
  file_.commit();
}

}  // namespace gcvit::weights
