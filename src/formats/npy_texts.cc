// SPDX-License-Identifier: Apache-2.0
#include "formats/npy_texts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/in_quotes.h"
#include "formats/npy_header.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "characters are stored as they lie in memory");

constexpr std::string_view kDescr = "<U";
constexpr std::size_t kCharacterBytes = sizeof(char32_t);
/// A byte that is no UTF-8 becomes this plus the byte: a surrogate, which UTF-8 never has. Such bytes are 0x80 to 0xff.
constexpr char32_t kEscape = 0xdc00;
constexpr char32_t kLastCode = 0x10ffff;

std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    characters += size == 0 ? kEscape + static_cast<unsigned char>(text.front()) : utf8_code(text.substr(0, size));
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return characters;
}

}  // namespace

std::string npy_of_texts(std::span<const std::string> texts) {
  std::size_t longest = 1;
  for (const std::string& text : texts) longest = std::max(longest, characters_of(text).size());
  const std::array<std::int64_t, 1> dims = {static_cast<std::int64_t>(texts.size())};
  std::string file = npy_header(std::string(kDescr) + std::to_string(longest), dims);
  file.reserve(file.size() + texts.size() * longest * kCharacterBytes);
  for (const std::string& text : texts) {
    std::u32string characters = characters_of(text);
    characters.resize(longest);
    file.append(reinterpret_cast<const char*>(characters.data()), longest * kCharacterBytes);
  }
  return file;
}

std::vector<std::string> parse_npy_texts(std::span<const std::byte> bytes, const std::string& file) {
  constexpr std::string_view kExpected = "texts of dtype '<U'";
  const NpyArray array = split_npy(bytes, file, kExpected);
  const std::string_view descr = array.header.descr;
  std::size_t longest = 0;
  const char* const end = descr.data() + descr.size();
  const bool is_text = descr.starts_with(kDescr) && descr.size() > kDescr.size();
  const std::from_chars_result number =
      is_text ? std::from_chars(descr.data() + kDescr.size(), end, longest) : std::from_chars_result{descr.data(), {}};
  if (!is_text || number.ec != std::errc() || number.ptr != end || longest > bytes.size()) {
    fail("[npy] {}: expected {}, found {}", file, kExpected, in_quotes(descr));
  }
  if (array.header.dims.size() != 1) {
    fail("[npy] {}: expected one axis, found {}", file, to_string(array.header.dims));
  }
  check_npy_size(array, "texts", longest * kCharacterBytes, file);
  const auto count = static_cast<std::size_t>(array.header.dims.front());
  if (longest == 0 && count > bytes.size()) {
    fail("[npy] {}: expected texts, found {} empty ones in {} bytes", file, count, bytes.size());
  }
  std::vector<std::string> texts(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::u32string characters(longest, U'\0');
    std::memcpy(characters.data(), array.data.data() + i * longest * kCharacterBytes, longest * kCharacterBytes);
    characters.resize(characters.find_last_not_of(U'\0') + 1);
    for (const char32_t code : characters) {
      if (code >= kEscape + 0x80 && code <= kEscape + 0xff) {
        texts[i] += static_cast<char>(static_cast<unsigned char>(code - kEscape));
      } else if (code > kLastCode || (code >= 0xd800 && code <= 0xdfff)) {
        fail("[npy] {}: text {}: expected a character, found the number {}", file, i, static_cast<std::uint32_t>(code));
      } else {
        append_utf8(texts[i], code);
      }
    }
  }
  return texts;
}

}  // namespace gcvit::formats
