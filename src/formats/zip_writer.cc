// SPDX-License-Identifier: Apache-2.0
#include "formats/zip_writer.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "formats/crc32.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kLocalHeaderSize = 30;
constexpr std::uint64_t kLargestFile = 0xfffffffe;
constexpr std::size_t kMostEntries = 0xfffe;
constexpr std::uint16_t kUtf8Names = 1 << 11;
constexpr std::uint16_t kTime = 0;
constexpr std::uint16_t kDate = 1 << 5 | 1;  ///< 1 January 1980, the first day a ZIP knows
constexpr std::string_view kPadding = "FB";  ///< the id of the extra field that torch pads with

/// What a style writes into the fields that readers of stored entries don't need.
struct Fields {
  std::uint16_t version;     ///< of ZIP that a reader must know
  std::uint16_t made_by;     ///< version and system
  std::uint32_t attributes;  ///< of the file that an entry becomes
};

constexpr Fields fields_of(ZipStyle style) {
  if (style == ZipStyle::kAligned) return {.version = 20, .made_by = 20, .attributes = 0};
  return {.version = 10, .made_by = 3 << 8 | 63, .attributes = 0100666u << 16};  // Unix
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char letter) { return static_cast<unsigned char>(letter) < 0x80; });
}

template <typename Number>
void append(std::string& text, Number number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// What local headers and the directory have in common.
std::string shared_fields(ZipStyle style, std::string_view name, std::uint32_t crc, std::uint32_t size,
                          std::uint16_t extra_size) {
  std::string text;
  append(text, fields_of(style).version);
  append(text, style == ZipStyle::kPlain && is_ascii(name) ? std::uint16_t{0} : kUtf8Names);
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

void ZipWriter::add(std::string_view name, std::initializer_list<std::span<const std::byte>> pieces) {
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;
  for (const std::span<const std::byte> piece : pieces) {
    bytes += piece.size();
    crc = crc32(piece, crc);
  }
  // With the directory still to come; what it adds is checked at the end.
  if (name.size() > 0xffff || entries_ == kMostEntries || bytes > kLargestFile ||
      place_ + kLocalHeaderSize + name.size() + 2 * kAlignment + bytes > kLargestFile) {
    fail("[zip] {}: expected at most 4 GB in {} entries, found more", path_, kMostEntries);
  }
  const std::uint64_t begin = place_;
  const auto size = static_cast<std::uint32_t>(bytes);
  std::string extra;
  if (style_ == ZipStyle::kAligned) {
    const std::uint64_t unpadded = begin + kLocalHeaderSize + name.size() + 4;
    const auto padding = static_cast<std::uint16_t>((kAlignment - unpadded % kAlignment) % kAlignment);
    extra += kPadding;
    append(extra, padding);
    extra.append(padding, 'Z');
  }

  std::string header = "PK\x03\x04";
  header += shared_fields(style_, name, crc, size, static_cast<std::uint16_t>(extra.size()));
  header += name;
  header += extra;
  write(header);
  for (const std::span<const std::byte> piece : pieces) write(piece);

  directory_ += "PK\x01\x02";
  append(directory_, fields_of(style_).made_by);
  directory_ += shared_fields(style_, name, crc, size, 0);
  directory_.append(6, '\0');  // comment, disk, internal attributes
  append(directory_, fields_of(style_).attributes);
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

}  // namespace gcvit::formats
