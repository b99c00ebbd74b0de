// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gcvit/export.h"

namespace gcvit {

/// The order of the bytes of a pixel. Alpha is ignored; grey becomes three equal channels.
enum class ChannelOrder : std::uint8_t { kRgb, kBgr, kRgba, kBgra, kGrey };

/// Bytes of one pixel.
GCVIT_EXPORT std::int32_t channels_of(ChannelOrder order);

/// How 8-bit pixels lie in memory, rows from the top.
struct PixelLayout {
  ChannelOrder order = ChannelOrder::kRgb;
  /// Bytes from a row's first pixel to the next row's; 0 where rows follow each other without a gap.
  std::size_t row_stride = 0;
};

/// An image to classify: a file, the bytes of one, or pixels.
class GCVIT_EXPORT Image {
 public:
  /// A JPEG, PNG or WebP file; it is opened when its turn comes. A pipe, socket or device is refused.
  static Image file(std::string path);
  /// The bytes of such a file; `name` stands for it in errors and results. A view: the bytes must outlive every use of the image.
  static Image encoded(std::span<const std::byte> bytes, std::string name = "image");
  /// The same of bytes that the image owns.
  static Image encoded(std::vector<std::byte> bytes, std::string name = "image");
  /// Pixels in memory, a view that must outlive every use of the image. Throws `Error` when a side is out of range, or `bytes` ends before
  /// the last row does.
  static Image pixels(std::span<const std::uint8_t> bytes, std::int32_t height, std::int32_t width,
                      const PixelLayout& layout, std::string name = "image");
  /// RGB without gaps: exactly height x width x 3 bytes.
  static Image pixels(std::span<const std::uint8_t> rgb, std::int32_t height, std::int32_t width,
                      std::string name = "image");

  enum class Kind : std::uint8_t { kFile, kEncoded, kPixels };
  Kind kind() const { return kind_; }
  /// The path of a file, else the given name.
  const std::string& name() const { return name_; }
  /// What was given to `encoded` or `pixels`.
  std::span<const std::byte> bytes() const { return bytes_; }
  std::int32_t height() const { return height_; }
  std::int32_t width() const { return width_; }
  const PixelLayout& layout() const { return layout_; }

 private:
  Image(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}

  Kind kind_;
  std::string name_;
  std::shared_ptr<const std::vector<std::byte>> owned_;
  std::span<const std::byte> bytes_;
  std::int32_t height_ = 0;
  std::int32_t width_ = 0;
  PixelLayout layout_;
};

}  // namespace gcvit
