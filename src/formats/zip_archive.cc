// SPDX-License-Identifier: Apache-2.0
#include "formats/zip_archive.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/counted.h"
#include "base/error.h"
#include "formats/crc32.h"
#include "formats/in_quotes.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

using namespace std::string_view_literals;

constexpr std::string_view kLocalHeader = "PK\x03\x04"sv;
constexpr std::string_view kDirectoryHeader = "PK\x01\x02"sv;
constexpr std::string_view kDirectoryEnd = "PK\x05\x06"sv;
constexpr std::string_view kDirectoryEnd64 = "PK\x06\x06"sv;
constexpr std::string_view kLocator64 = "PK\x06\x07"sv;
constexpr std::size_t kLocalHeaderSize = 30;
constexpr std::size_t kDirectoryHeaderSize = 46;
constexpr std::size_t kDirectoryEndSize = 22;
constexpr std::size_t kDirectoryEnd64Size = 56;
constexpr std::size_t kLocator64Size = 20;
constexpr std::size_t kLongestComment = 0xffff;
constexpr std::uint16_t kExtra64 = 1;
constexpr std::uint32_t kIn64 = 0xffffffff;  ///< the number stands in the ZIP64 field
constexpr unsigned kEncrypted = 1;           ///< bit of an entry's flags

/// The little-endian number at `offset`; the caller has checked that it is there.
template <typename Number>
Number number_at(std::string_view text, std::size_t offset) {
  Number number;
  std::memcpy(&number, text.data() + offset, sizeof(number));
  return number;
}

struct Directory {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t entries;
};

/// An entry with the place of its data, as the directory and its local header tell.
struct Found {
  ZipArchive::Entry entry;
  std::uint64_t begin;  ///< of its local header
  std::uint64_t end;    ///< of its data
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::vector<Found> run() {
    const Directory directory = find_directory();
    if (directory.begin > directory.end || directory.end > text_.size()) {
      fail("[zip] {}: the directory lies at bytes {} to {}, file has {}", file_, directory.begin, directory.end,
           text_.size());
    }
    std::vector<Found> found;
    std::size_t place = directory.begin;
    while (place < directory.end) {
      found.push_back(read_entry(place, directory));
    }
    if (found.size() != directory.entries) {
      fail("[zip] {}: expected {}, the directory has {}", file_, counted(directory.entries, "entry", "entries"),
           found.size());
    }
    return found;
  }

 private:
  bool has(std::string_view magic, std::uint64_t offset, std::size_t size) const {
    return offset <= text_.size() && text_.size() - offset >= size && text_.substr(offset).starts_with(magic);
  }

  /// The end record stands last, but for a comment that reaches exactly to the end of the file.
  std::size_t find_end() const {
    for (std::size_t comment = 0; comment <= kLongestComment && comment + kDirectoryEndSize <= text_.size();
         ++comment) {
      const std::size_t offset = text_.size() - comment - kDirectoryEndSize;
      if (has(kDirectoryEnd, offset, kDirectoryEndSize) && number_at<std::uint16_t>(text_, offset + 20) == comment) {
        return offset;
      }
    }
    fail("[zip] {}: expected a directory at the end, found none: cut short?", file_);
  }

  Directory find_directory() const {
    const std::size_t end = find_end();
    if (end >= kLocator64Size && has(kLocator64, end - kLocator64Size, kLocator64Size)) {
      const auto offset = number_at<std::uint64_t>(text_, end - kLocator64Size + 8);
      if (!has(kDirectoryEnd64, offset, kDirectoryEnd64Size)) {
        fail("[zip] {}: expected a ZIP64 end record at byte {}, found none", file_, offset);
      }
      const std::string_view record = text_.substr(offset);
      return directory_of(number_at<std::uint64_t>(record, 48), number_at<std::uint64_t>(record, 40),
                          number_at<std::uint64_t>(record, 32));
    }
    return directory_of(number_at<std::uint32_t>(text_, end + 16), number_at<std::uint32_t>(text_, end + 12),
                        number_at<std::uint16_t>(text_, end + 10));
  }

  Directory directory_of(std::uint64_t begin, std::uint64_t size, std::uint64_t entries) const {
    if (begin > text_.size() || size > text_.size() - begin) {
      fail("[zip] {}: the directory has {} from byte {} on, file has {}", file_, counted(size, "byte"), begin,
           text_.size());
    }
    return {begin, begin + size, entries};
  }

  /// The directory's entry at `place`, which moves behind it.
  Found read_entry(std::size_t& place, const Directory& directory) const {
    const std::string_view header = text_.substr(place, directory.end - place);
    if (header.size() < kDirectoryHeaderSize || !header.starts_with(kDirectoryHeader)) {
      fail("[zip] {}: expected an entry of the directory at byte {}, found none", file_, place);
    }
    const std::size_t name_size = number_at<std::uint16_t>(header, 28);
    const std::size_t extra_size = number_at<std::uint16_t>(header, 30);
    const std::size_t size = kDirectoryHeaderSize + name_size + extra_size + number_at<std::uint16_t>(header, 32);
    if (size > header.size()) {
      fail("[zip] {}: an entry of the directory ends at byte {}, the directory at {}", file_, place + size,
           directory.end);
    }
    Found found{};
    found.entry.name = header.substr(kDirectoryHeaderSize, name_size);
    found.entry.crc = number_at<std::uint32_t>(header, 16);
    const std::string_view name = found.entry.name;
    if ((number_at<std::uint16_t>(header, 8) & kEncrypted) != 0) {
      fail("[zip] {}: entry {}: expected plain bytes, found encrypted ones", file_, in_quotes(name));
    }
    if (const auto method = number_at<std::uint16_t>(header, 10); method != 0) {
      fail(
          "[zip] {}: entry {}: expected stored bytes, found compressed ones (method {}); unpack it, or save it without "
          "compression",
          file_, in_quotes(name), method);
    }
    std::string_view extra64 = find_extra64(header.substr(kDirectoryHeaderSize + name_size, extra_size));
    const auto wide = [&](std::size_t offset) -> std::uint64_t {
      const auto number = number_at<std::uint32_t>(header, offset);
      if (number != kIn64) return number;
      if (extra64.size() < 8) fail("[zip] {}: entry {}: its ZIP64 numbers are missing", file_, in_quotes(name));
      const auto number64 = number_at<std::uint64_t>(extra64, 0);
      extra64.remove_prefix(8);
      return number64;
    };
    const std::uint64_t plain_size = wide(24);
    const std::uint64_t stored_size = wide(20);
    if (plain_size != stored_size) {
      fail("[zip] {}: entry {}: has {}, stored as {}", file_, in_quotes(name), counted(plain_size, "byte"),
           stored_size);
    }
    found.begin = wide(42);
    const std::uint64_t data = data_offset(found, directory);
    if (stored_size > directory.begin - data) {
      fail("[zip] {}: entry {}: has {} from byte {} on, the directory begins at {}", file_, in_quotes(name),
           counted(stored_size, "byte"), data, directory.begin);
    }
    found.end = data + stored_size;
    found.entry.bytes = std::as_bytes(std::span(text_.substr(data, stored_size)));
    place += size;
    return found;
  }

  /// The ZIP64 field among an entry's extra fields; empty when there is none.
  static std::string_view find_extra64(std::string_view extra) {
    while (extra.size() >= 4) {
      const auto id = number_at<std::uint16_t>(extra, 0);
      const std::string_view field = extra.substr(4, number_at<std::uint16_t>(extra, 2));
      if (id == kExtra64) return field;
      extra.remove_prefix(4 + field.size());
    }
    return {};
  }

  /// Where an entry's data begin, behind its local header, which must lie before the directory.
  std::uint64_t data_offset(const Found& found, const Directory& directory) const {
    const std::string_view name = found.entry.name;
    const std::string_view before = text_.substr(0, directory.begin);
    const std::string_view header = found.begin < before.size() ? before.substr(found.begin) : ""sv;
    if (header.size() < kLocalHeaderSize || !header.starts_with(kLocalHeader)) {
      fail("[zip] {}: entry {}: expected its header at byte {}, found none", file_, in_quotes(name), found.begin);
    }
    const std::size_t name_size = number_at<std::uint16_t>(header, 26);
    const std::size_t size = kLocalHeaderSize + name_size + number_at<std::uint16_t>(header, 28);
    if (size > header.size()) {
      fail("[zip] {}: entry {}: its header ends at byte {}, the directory begins at {}", file_, in_quotes(name),
           found.begin + size, directory.begin);
    }
    const std::string_view local_name = header.substr(kLocalHeaderSize, name_size);
    if (local_name != name || number_at<std::uint16_t>(header, 8) != 0) {
      fail("[zip] {}: entry {}: its header at byte {} is another's: {}", file_, in_quotes(name), found.begin,
           in_quotes(local_name));
    }
    return found.begin + size;
  }

  std::string_view text_;
  const std::string& file_;
};

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> bytes, const std::string& file) {
  std::vector<Found> found = Reader({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file).run();
  std::ranges::sort(found, {}, &Found::begin);
  for (std::size_t i = 1; i < found.size(); ++i) {
    if (found[i].begin < found[i - 1].end) {
      fail("[zip] {}: entry {}: begins at byte {}, inside {}, which ends at {}", file, in_quotes(found[i].entry.name),
           found[i].begin, in_quotes(found[i - 1].entry.name), found[i - 1].end);
    }
  }
  entries_.reserve(found.size());
  for (const Found& entry : found) entries_.push_back(entry.entry);
  std::ranges::sort(entries_, {}, &Entry::name);
  const auto doubled = std::ranges::adjacent_find(entries_, {}, &Entry::name);
  if (doubled != entries_.end()) fail("[zip] {}: the entry {} appears twice", file, in_quotes(doubled->name));
}

const ZipArchive::Entry* ZipArchive::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(entries_, name, {}, &Entry::name);
  return found != entries_.end() && found->name == name ? &*found : nullptr;
}

bool is_zip(std::string_view bytes) { return bytes.starts_with(kLocalHeader); }

void check_crc(const ZipArchive::Entry& entry, const std::string& file) {
  const std::uint32_t crc = crc32(entry.bytes);
  if (crc != entry.crc) {
    fail("[zip] {}: entry {}: expected CRC-32 {:08x}, found {:08x}: the file is damaged", file, in_quotes(entry.name),
         entry.crc, crc);
  }
}

}  // namespace gcvit::formats
