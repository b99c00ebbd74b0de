// SPDX-License-Identifier: Apache-2.0
#include "formats/hdf5_messages.h"

#include <algorithm>
#include <array>

#include "base/counted.h"
#include "base/error.h"
#include "formats/in_quotes.h"

namespace gcvit::formats::hdf5 {
namespace {

constexpr std::size_t kMostAxes = 32;

// Classes of datatypes.
constexpr int kInteger = 0;
constexpr int kFloat = 1;
constexpr int kOpaque = 5;
constexpr int kVariable = 9;

/// A float's properties as the file lists them, and the type that has them.
struct FloatFormat {
  DType dtype;
  std::uint32_t size;
  std::uint8_t sign;
  std::uint8_t exponent_at, exponent_size, mantissa_size;
  std::uint32_t bias;
};

constexpr std::array<FloatFormat, 4> kFloats = {{{DType::kF32, 4, 31, 23, 8, 23, 127},
                                                 {DType::kF16, 2, 15, 10, 5, 10, 15},
                                                 {DType::kBF16, 2, 15, 7, 8, 7, 127},
                                                 {DType::kF64, 8, 63, 52, 11, 52, 1023}}};

std::optional<DType> read_float(Cursor& properties, std::uint32_t bits, std::uint32_t size) {
  const std::uint16_t offset = properties.u16();
  const std::uint16_t precision = properties.u16();
  const std::uint8_t exponent_at = properties.u8();
  const std::uint8_t exponent_size = properties.u8();
  const std::uint8_t mantissa_at = properties.u8();
  const std::uint8_t mantissa_size = properties.u8();
  const std::uint32_t bias = properties.u32();
  const bool little_endian = (bits & 0x41u) == 0;
  const bool implied_one = ((bits >> 4) & 3u) == 2;
  if (!little_endian || !implied_one || offset != 0 || precision != 8 * size || mantissa_at != 0) return std::nullopt;
  for (const FloatFormat& format : kFloats) {
    if (format.size == size && format.sign == ((bits >> 8) & 0xffu) && format.exponent_at == exponent_at &&
        format.exponent_size == exponent_size && format.mantissa_size == mantissa_size && format.bias == bias) {
      return format.dtype;
    }
  }
  return std::nullopt;
}

std::optional<DType> read_integer(Cursor& properties, std::uint32_t bits, std::uint32_t size) {
  const std::uint16_t offset = properties.u16();
  const std::uint16_t precision = properties.u16();
  const bool little_endian = (bits & 1u) == 0;
  const bool is_signed = (bits & 8u) != 0;
  if (offset != 0 || precision != 8 * size) return std::nullopt;
  if (size == 1 && !is_signed) return DType::kU8;
  if (size == 4 && is_signed && little_endian) return DType::kI32;
  if (size == 8 && is_signed && little_endian) return DType::kI64;
  return std::nullopt;
}

std::uint64_t padded(std::uint64_t size) { return (size + 7) / 8 * 8; }

}  // namespace

std::span<const std::byte> Cursor::take(std::uint64_t size) {
  if (size > rest_.size()) {
    fail("[hdf5] {}: cut short: expected {} more, found {}", place_, counted(size, "byte"), rest_.size());
  }
  const std::span<const std::byte> taken = rest_.first(static_cast<std::size_t>(size));
  rest_ = rest_.subspan(taken.size());
  return taken;
}

std::string_view Cursor::text(std::uint64_t size) {
  const std::span<const std::byte> bytes = take(size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t Cursor::number(std::size_t size) {
  const std::span<const std::byte> bytes = take(size);
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) value = (value << 8) | std::to_integer<std::uint64_t>(bytes[i - 1]);
  return value;
}

void Cursor::expect(std::string_view signature) {
  const std::string_view found = text(signature.size());
  if (found != signature) {
    fail("[hdf5] {}: expected {}, found {}", place_, in_quotes(signature), in_quotes(found));
  }
}

Dims read_dataspace(Cursor message) {
  const std::uint8_t version = message.u8();
  const std::uint8_t rank = message.u8();
  message.skip(1);  // flags: whether the largest axes follow; they don't matter
  if (version == 1) {
    message.skip(5);
  } else if (version == 2) {
    constexpr std::uint8_t kNull = 2;
    if (message.u8() == kNull) return {0};
  } else {
    fail("[hdf5] {}: dataspace: expected version 1 or 2, found {}", message.place(), version);
  }
  if (rank > kMostAxes) fail("[hdf5] {}: expected at most {} axes, found {}", message.place(), kMostAxes, rank);
  Dims dims;
  for (std::uint8_t axis = 0; axis < rank; ++axis) {
    const std::uint64_t size = message.u64();
    if (size > static_cast<std::uint64_t>(INT64_MAX)) {
      fail("[hdf5] {}: axis {}: {} elements are too many", message.place(), axis, size);
    }
    dims.push_back(static_cast<std::int64_t>(size));
  }
  return dims;
}

Datatype read_datatype(Cursor message) {
  const std::uint8_t head = message.u8();
  const std::uint32_t bits = static_cast<std::uint32_t>(message.number(3));
  Datatype datatype;
  datatype.size = message.u32();
  switch (head & 0x0f) {
    case kFloat: datatype.dtype = read_float(message, bits, datatype.size); break;
    case kInteger: datatype.dtype = read_integer(message, bits, datatype.size); break;
    case kOpaque: datatype.opaque16 = datatype.size == 2; break;
    case kVariable: datatype.variable_text = (bits & 0x0fu) == 1; break;
    default: break;
  }
  return datatype;
}

Layout read_layout(Cursor message) {
  const std::uint8_t version = message.u8();
  if (version != 3 && version != 4) {
    fail("[hdf5] {}: layout: expected version 3 or 4, found {}", message.place(), version);
  }
  enum : std::uint8_t { kCompact = 0, kContiguous = 1, kChunked = 2, kVirtual = 3 };
  Layout layout;
  switch (const std::uint8_t kind = message.u8()) {
    case kCompact:
      layout.compact = true;
      layout.size = message.u16();
      layout.bytes = message.take(layout.size);
      return layout;
    case kContiguous:
      layout.address = message.u64();
      layout.size = message.u64();
      return layout;
    case kChunked:
      fail(
          "[hdf5] {}: expected values in one piece, found chunks, as compression makes them: save again without "
          "chunks or compression (h5repack -l CONTI -f NONE)",
          message.place());
    case kVirtual: fail("[hdf5] {}: values of other files (a virtual dataset) are not followed", message.place());
    default: fail("[hdf5] {}: layout: unknown kind {}", message.place(), kind);
  }
}

std::optional<Attribute> read_attribute(Cursor message) {
  const std::uint8_t version = message.u8();
  const std::uint8_t flags = message.u8();
  if (version < 1 || version > 3) {
    fail("[hdf5] {}: attribute: expected version 1 to 3, found {}", message.place(), version);
  }
  const std::uint64_t name_size = message.u16();
  const std::uint64_t datatype_size = message.u16();
  const std::uint64_t dataspace_size = message.u16();
  if (version == 3) message.skip(1);  // the name's character set
  const bool elsewhere = version > 1 && (flags & 3u) != 0;
  if (elsewhere) return std::nullopt;
  const auto part = [&](std::uint64_t size) {
    const std::span<const std::byte> bytes = message.take(size);
    if (version == 1) message.skip(padded(size) - size);
    return bytes;
  };
  Attribute attribute;
  const std::span<const std::byte> name = part(name_size);
  attribute.name = {reinterpret_cast<const char*>(name.data()), name.size()};
  attribute.name = attribute.name.substr(0, attribute.name.find('\0'));
  attribute.datatype = read_datatype(Cursor(part(datatype_size), message.place()));
  attribute.dims = read_dataspace(Cursor(part(dataspace_size), message.place()));
  attribute.value = message.take(message.left());
  return attribute;
}

Link read_link(Cursor message) {
  const std::uint8_t version = message.u8();
  if (version != 1) fail("[hdf5] {}: link: expected version 1, found {}", message.place(), version);
  const std::uint8_t flags = message.u8();
  constexpr std::uint8_t kHard = 0;
  const std::uint8_t kind = (flags & 8u) != 0 ? message.u8() : kHard;
  if ((flags & 4u) != 0) message.skip(8);  // creation order
  if ((flags & 16u) != 0) message.skip(1);  // character set
  const std::uint64_t size = message.number(std::size_t{1} << (flags & 3u));
  Link link{};
  link.name = message.text(size);
  if (kind != kHard) {
    fail("[hdf5] {}: {} is a soft or external link: links are not followed", message.place(), in_quotes(link.name));
  }
  link.address = message.u64();
  return link;
}

}  // namespace gcvit::formats::hdf5
