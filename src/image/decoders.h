// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "image/decode.h"
#include "image/decode_memory.h"

/// Shared by decode.cc and the decoder of each format, internal to this component.
namespace gcvit::image {

/// A picture as stored, and how EXIF says to turn it (1..8, 1 if it says nothing).
struct Decoded {
  std::shared_ptr<DecodeMemory::Share> share;  ///< for decoding, and turning it upright
  Image image;
  int orientation = 1;
  bool chosen = false;  ///< a reduction was asked for
};

/// An encoded picture and how it is wanted.
struct Source {
  std::span<const std::byte> bytes;  ///< begin as the format does
  std::string_view name;
  const DecodeOptions& options;
};

Decoded decode_jpeg(const Source& source, const ChooseReduction& choose);
Decoded decode_png(const Source& source);
Decoded decode_webp(const Source& source);

/// What a picture's header says. `format` is the area of errors.
struct Header {
  std::string_view format;
  std::uint64_t width = 0;
  std::uint64_t height = 0;
};

/// Throws `Error` if a side is 0 or over kMaxSide, or the area over what `source` allows.
void check_size(const Header& header, const Source& source);

/// Takes the memory that decoding needs beside the encoded bytes, once it is free; throws `Error` if it never can be.
std::shared_ptr<DecodeMemory::Share> take_memory(std::uint64_t bytes, const Header& header, const Source& source);

/// An image without rows yet. The memory that rows will take is asked for, but costs nothing before they come.
Image without_rows(std::uint64_t width, std::uint64_t height);

/// Room for the next row of an image that began without.
inline std::uint8_t* next_row(Image& image) {
  const std::size_t size = image.pixels.size();
  image.pixels.resize(size + static_cast<std::size_t>(image.width) * 3);
  return image.pixels.data() + size;
}

/// Bytes of a picture's pixels.
inline std::uint64_t rgb_bytes(std::uint64_t width, std::uint64_t height) { return width * height * 3; }

/// The orientation in EXIF data (a TIFF directory, with or without "Exif\0\0" before it): 1..8, and 1 for data that has
/// none or is broken, as a picture is worth more than its tags.
int exif_orientation(std::span<const std::uint8_t> data);

/// The picture turned upright from the given EXIF orientation.
Image turn_upright(Image image, int orientation);

inline std::span<const std::uint8_t> as_unsigned(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace gcvit::image
