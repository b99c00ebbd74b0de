// SPDX-License-Identifier: Apache-2.0
// An archive is blocks of 512 bytes: a header, the member's bytes filled up to whole blocks, the next header; a block
// of zeros ends it. A pax header ('x') is a member of lines "LENGTH key=value\n" about the member behind it; a GNU long
// name ('L') is a member with that one's path.
#include "data/tar.h"

#include <system_error>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/error.h"

namespace gcvit::data {
namespace {

constexpr std::size_t kBlock = 512;
/// Of a pax header or a long name.
constexpr std::uint64_t kMaxExtraBytes = std::uint64_t{1} << 16;

using Block = std::array<char, kBlock>;

/// A text field: up to its first zero byte.
std::string_view text_of(const Block& block, std::size_t offset, std::size_t size) {
  const std::string_view field(block.data() + offset, size);
  return field.substr(0, field.find('\0'));
}

/// A number field: octal digits between spaces, or big-endian binary behind a byte of 0x80.
std::optional<std::uint64_t> number_of(const Block& block, std::size_t offset, std::size_t size) {
  const auto first = static_cast<unsigned char>(block[offset]);
  if (first == 0x80) {
    std::uint64_t number = 0;
    for (std::size_t i = 1; i < size; ++i) {
      if (number >> 55 != 0) return std::nullopt;
      number = number << 8 | static_cast<unsigned char>(block[offset + i]);
    }
    return number;
  }
  std::string_view digits = text_of(block, offset, size);
  while (digits.starts_with(' ')) digits.remove_prefix(1);
  while (digits.ends_with(' ')) digits.remove_suffix(1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 8);
  if (error != std::errc() || end != digits.data() + digits.size() || number >> 62 != 0) return std::nullopt;
  return number;
}

/// The header's sum with its checksum field as spaces.
std::uint64_t checksum_of(const Block& block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  return sum;
}

/// What extra headers say about the member after them.
struct Extra {
  std::optional<std::string> path;
  std::optional<std::uint64_t> size;
};

/// Reads a pax header's lines; false for broken ones.
bool read_pax(std::string_view text, Extra& extra) {
  while (!text.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<std::size_t>(end - text.data());
    if (error != std::errc() || length > text.size() || length < digits + 3 || *end != ' ' ||
        text[length - 1] != '\n') {
      return false;
    }
    const std::string_view line = text.substr(digits + 1, length - digits - 2);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = line.substr(0, equals);
    const std::string_view value = line.substr(equals + 1);
    if (key == "path") {
      extra.path = value;
    } else if (key == "size") {
      std::uint64_t size = 0;
      const auto [size_end, size_error] = std::from_chars(value.data(), value.data() + value.size(), size);
      if (size_error != std::errc() || size_end != value.data() + value.size() || size >> 62 != 0) return false;
      extra.size = size;
    }
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

bool is_inner_path(std::string_view path) {
  if (path.empty() || path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return false;
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return true;
}

void read_tar(std::uint64_t size, const TarBytes& bytes, std::string_view name,
              const std::function<void(const TarMember&)>& take) {
  Extra extra;
  std::uint64_t position = 0;
  while (position < size) {
    const auto refuse = [&](std::string_view found) {
      fail("[tar] {}: member at byte {}: expected a tar archive's, found {}", name, position, found);
    };
    if (size - position < kBlock) refuse("an end inside its header");
    Block block;
    std::memcpy(block.data(), bytes(position, kBlock).data(), kBlock);
    if (block == Block{}) break;
    if (number_of(block, 148, 8) != checksum_of(block)) refuse("a header with a wrong checksum");
    const char type = block[156];
    // The sizes in extra headers are about regular members alone.
    const bool regular = type == '0' || type == '\0' || type == '7';
    std::optional<std::uint64_t> stored = number_of(block, 124, 12);
    if (regular && extra.size) stored = extra.size;
    if (!stored) refuse("no number for its size");
    // Links keep their target's size, and no bytes.
    const std::uint64_t length = type >= '1' && type <= '6' ? 0 : *stored;
    const std::uint64_t begin = position + kBlock;
    if (length > size - begin) refuse("an end inside its bytes");

    if (type == 'x' || type == 'L') {
      if (length > kMaxExtraBytes) refuse("a name of over 64 KiB");
      const std::span<const std::byte> content = bytes(begin, static_cast<std::size_t>(length));
      const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
      if (type == 'L') {
        extra.path = text.substr(0, text.find('\0'));
      } else if (!read_pax(text, extra)) {
        refuse("a broken pax header");
      }
    } else if (type != 'g' && type != 'K') {
      if (regular) {
        std::string path(text_of(block, 0, 100));
        const std::string_view prefix = text_of(block, 345, 155);
        if (text_of(block, 257, 6) == "ustar" && !prefix.empty()) path = fmt::format("{}/{}", prefix, path);
        take({extra.path.value_or(std::move(path)), begin, length});
      }
      extra = {};
    }
    // The last member may lack its padding.
    const std::uint64_t filled = (length + kBlock - 1) / kBlock * kBlock;
    position = filled > size - begin ? size : begin + filled;
  }
  if (extra.path || extra.size)
    fail("[tar] {}: byte {}: expected a member, found an end behind its name", name, position);
}

}  // namespace gcvit::data
