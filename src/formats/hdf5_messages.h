// SPDX-License-Identifier: Apache-2.0
// The messages of an HDF5 object header, and the cursor that all of HDF5 is read with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/tensor.h"

namespace gcvit::formats::hdf5 {

/// The address of what isn't there.
inline constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

/// Reads little-endian numbers one behind the other. Whatever would leave `bytes` throws an `Error` that begins with
/// `place` ("m.h5: layers/norm").
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& place) : rest_(bytes), place_(place) {}

  const std::string& place() const { return place_; }
  bool empty() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

  std::span<const std::byte> take(std::uint64_t size);
  std::string_view text(std::uint64_t size);
  void skip(std::uint64_t size) { take(size); }
  /// `size` bytes, 1 to 8.
  std::uint64_t number(std::size_t size);
  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  /// Throws unless the next bytes are these.
  void expect(std::string_view signature);

 private:
  std::span<const std::byte> rest_;
  const std::string& place_;
};

enum class MessageType : std::uint16_t {
  kDataspace = 0x01,
  kLinkInfo = 0x02,
  kDatatype = 0x03,
  kLink = 0x06,
  kExternalFiles = 0x07,
  kLayout = 0x08,
  kFilters = 0x0b,
  kAttribute = 0x0c,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
};

/// The axes of a dataset or an attribute; one without values (a null dataspace) has an axis of 0.
Dims read_dataspace(Cursor message);

/// What an element is.
struct Datatype {
  /// Of numbers that weights may be; none for text and all else.
  std::optional<DType> dtype;
  bool opaque16 = false;  ///< two bytes without a meaning: bfloat16, when an attribute says so
  bool variable_text = false;
  std::uint32_t size = 0;
};
Datatype read_datatype(Cursor message);

/// Where a dataset's values lie: at `address`, or here (`bytes`) when that is kNowhere.
struct Layout {
  std::uint64_t address = kNowhere;
  std::uint64_t size = 0;
  std::span<const std::byte> bytes;
  bool compact = false;
};
/// Throws when it is chunked or virtual.
Layout read_layout(Cursor message);

/// An attribute with its value as it lies in the file.
struct Attribute {
  std::string_view name;
  Datatype datatype;
  Dims dims;
  std::span<const std::byte> value;
};
/// Nothing for one whose type or axes stand elsewhere in the file.
std::optional<Attribute> read_attribute(Cursor message);

/// A link to an object of the same file. Throws when it is a soft or external one.
struct Link {
  std::string_view name;
  std::uint64_t address;
};
Link read_link(Cursor message);

}  // namespace gcvit::formats::hdf5
