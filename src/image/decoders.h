// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "image/decode.h"

/// What decode.cc and the file of each format share; no other room's business.
namespace gcvit::image {

/// A picture as stored, and how EXIF says to turn it (1..8, 1 if it says nothing).
struct Decoded {
  Image image;
  int orientation = 1;
  bool chosen = false;  ///< a reduction was asked for
};

/// Each takes bytes that begin as its format does.
Decoded decode_jpeg(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options,
                    const ChooseReduction& choose);
Decoded decode_png(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels);
Decoded decode_webp(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels);

/// Throws `Error` if a side is 0 or over kMaxSide, or the area over `max_pixels`. `format` is the error's area.
void check_size(std::uint64_t width, std::uint64_t height, std::uint64_t max_pixels, std::string_view format,
                std::string_view name);
/// An image with room for its pixels, all 0, once its size is checked.
Image allocate(std::uint64_t width, std::uint64_t height, std::uint64_t max_pixels, std::string_view format,
               std::string_view name);

/// The orientation in EXIF data (a TIFF directory, with or without "Exif\0\0" before it): 1..8, and 1 for data that has
/// none or is broken, as a picture is worth more than its tags.
int exif_orientation(std::span<const std::uint8_t> data);

/// The picture turned upright from the given EXIF orientation.
Image turn_upright(Image image, int orientation);

inline std::span<const std::uint8_t> as_unsigned(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace gcvit::image
