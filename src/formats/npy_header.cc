// SPDX-License-Identifier: Apache-2.0
#include "formats/npy_header.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/ranges.h>

#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "formats/in_quotes.h"

namespace gcvit::formats {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY"sv;
constexpr std::size_t kMaximalAxes = 32;
constexpr std::size_t kAlignment = 64;
/// NumPy leaves room in the header for a first axis of so many digits.
constexpr std::size_t kRowDigits = 21;

/// Reads the header's Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& file, std::string_view expected_dtype)
      : text_(text), file_(file), expected_dtype_(expected_dtype) {}

  NpyHeader run() {
    std::optional<std::string_view> descr;
    std::optional<bool> fortran_order;
    std::optional<Dims> shape;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted_text();
      expect(':');
      if (key == "descr" && !descr) {
        if (accept('[')) fail("[npy] {}: expected {}, found a structured one", file_, expected_dtype_);
        descr = quoted_text();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = word() == "True";
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail("[npy] {}: header: expected descr, fortran_order and shape once each, found {}", file_, in_quotes(key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (!text_.empty()) broken("its end");
    if (!descr || !fortran_order || !shape) {
      fail("[npy] {}: header: expected descr, fortran_order and shape, found no {}", file_,
           !descr           ? "descr"
           : !fortran_order ? "fortran_order"
                            : "shape");
    }
    return {*descr, *fortran_order, *std::move(shape)};
  }

 private:
  [[noreturn]] void broken(std::string_view what) const {
    fail("[npy] {}: header: expected {}, found {}", file_, what, text_.empty() ? "its end" : in_quotes(text_));
  }

  void skip_spaces() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }

  bool accept(char letter) {
    skip_spaces();
    if (!text_.starts_with(letter)) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char letter) {
    if (!accept(letter)) broken(fmt::format("'{}'", letter));
  }

  std::string_view take(std::size_t count) {
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view quoted_text() {
    skip_spaces();
    const char quote = text_.empty() ? '\0' : text_.front();
    const std::size_t end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) broken("a text in quotes");
    return take(end + 1).substr(1, end - 1);
  }

  std::string_view word() {
    skip_spaces();
    const std::size_t end = std::min(text_.find_first_of(" ,}"), text_.size());
    if (end != 0 && (text_.starts_with("True") || text_.starts_with("False"))) return take(end);
    broken("True or False");
  }

  Dims tuple() {
    Dims dims;
    expect('(');
    while (!accept(')')) {
      std::int64_t dim = -1;
      skip_spaces();
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), dim);
      if (error != std::errc{} || dim < 0) broken("a length from 0 on");
      if (dims.size() == kMaximalAxes) fail("[npy] {}: header: expected at most {} axes", file_, kMaximalAxes);
      dims.push_back(dim);
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }

  std::string_view text_;
  const std::string& file_;
  std::string_view expected_dtype_;
};

}  // namespace

NpyArray split_npy(std::span<const std::byte> bytes, const std::string& file, std::string_view expected_dtype) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) fail("[npy] {}: expected a .npy file, found {}", file, found_kind(text));
  const auto byte_at = [&](std::size_t index) {
    if (index >= text.size()) fail("[npy] {}: cut short inside its header, file has {} bytes", file, text.size());
    return static_cast<unsigned char>(text[index]);
  };
  const unsigned major = byte_at(6);
  const unsigned minor = byte_at(7);
  if (major < 1 || major > 3 || minor != 0) {
    fail("[npy] {}: expected version 1.0, 2.0 or 3.0, found {}.{}", file, major, minor);
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::size_t header_size = 0;
  for (std::size_t i = length_bytes; i-- > 0;) header_size = header_size << 8 | byte_at(8 + i);
  const std::size_t data_begin = 8 + length_bytes + header_size;
  if (data_begin > text.size()) {
    fail("[npy] {}: the header ends at byte {}, file has {}", file, data_begin, text.size());
  }
  return {HeaderReader(text.substr(8 + length_bytes, header_size), file, expected_dtype).run(),
          bytes.subspan(data_begin)};
}

void check_npy_size(const NpyArray& array, std::string_view dtype, std::size_t element_size, const std::string& file) {
  auto needed = static_cast<std::int64_t>(element_size);
  bool overflow = false;
  for (const std::int64_t dim : array.header.dims) overflow = overflow || __builtin_mul_overflow(needed, dim, &needed);
  if (overflow || static_cast<std::uint64_t>(needed) != array.data.size()) {
    fail("[npy] {}: {} {} needs {}, file has {} behind its header", file, dtype, to_string(array.header.dims),
         overflow ? "more than 2^63 bytes" : counted(static_cast<std::uint64_t>(needed), "byte"), array.data.size());
  }
}

std::string npy_header(std::string_view descr, std::span<const std::int64_t> dims) {
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                                 fmt::join(dims, ", "), dims.size() == 1 ? "," : "");
  if (!dims.empty()) text.append(kRowDigits - std::to_string(dims.front()).size(), ' ');
  const std::size_t unpadded = kMagic.size() + 4 + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text.push_back('\n');
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace gcvit::formats
