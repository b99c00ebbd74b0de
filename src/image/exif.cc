// SPDX-License-Identifier: Apache-2.0
// EXIF is a TIFF file without pictures: "II*\0" or "MM\0*" for the byte order, the offset of the first directory, and
// there a count and entries of 12 bytes: tag, type, number of values, value or its offset. Orientation is one SHORT.
#include <algorithm>
#include <cstring>
#include <utility>

#include "image/decoders.h"

namespace gcvit::image {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3;
constexpr std::uint32_t kLong = 4;
constexpr std::size_t kEntryBytes = 12;

class TiffReader {
 public:
  TiffReader(std::span<const std::uint8_t> data, bool big_endian) : data_(data), big_endian_(big_endian) {}

  bool holds(std::size_t offset, std::size_t count) const {
    return offset <= data_.size() && count <= data_.size() - offset;
  }
  /// Callers ask `holds` first.
  std::uint32_t number(std::size_t offset, std::size_t bytes) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | data_[offset + (big_endian_ ? i : bytes - 1 - i)];
    return value;
  }

 private:
  std::span<const std::uint8_t> data_;
  bool big_endian_;
};

}  // namespace

int exif_orientation(std::span<const std::uint8_t> data) {
  if (data.size() >= 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0) data = data.subspan(6);
  if (data.size() < 8) return 1;
  const bool big_endian = std::memcmp(data.data(), "MM\0*", 4) == 0;
  if (!big_endian && std::memcmp(data.data(), "II*\0", 4) != 0) return 1;
  const TiffReader reader(data, big_endian);
  const std::size_t directory = reader.number(4, 4);
  if (!reader.holds(directory, 2)) return 1;
  const std::size_t entries = reader.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (!reader.holds(entry, kEntryBytes)) return 1;
    if (reader.number(entry, 2) != kOrientationTag) continue;
    const std::uint32_t type = reader.number(entry + 2, 2);
    if (type != kShort && type != kLong) return 1;
    const std::uint32_t value = reader.number(entry + 8, type == kShort ? 2 : 4);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image turn_upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const std::ptrdiff_t width = image.width;
  const std::ptrdiff_t height = image.height;

  // The stored pixel that goes to the top left, and the steps from it as the result goes right and down.
  const std::uint8_t* first =
      image.pixels.data() + ((from_bottom ? height - 1 : 0) * width + (from_right ? width - 1 : 0)) * 3;
  std::ptrdiff_t right = from_right ? -3 : 3;
  std::ptrdiff_t down = (from_bottom ? -width : width) * 3;
  if (transposed) std::swap(right, down);

  Image upright{image.width, image.height, std::vector<std::uint8_t>(image.pixels.size())};
  if (transposed) std::swap(upright.width, upright.height);
  std::uint8_t* out = upright.pixels.data();
  for (std::ptrdiff_t y = 0; y < upright.height; ++y) {
    for (std::ptrdiff_t x = 0; x < upright.width; ++x, out += 3) {
      const std::uint8_t* pixel = first + y * down + x * right;
      std::copy_n(pixel, 3, out);
    }
  }
  return upright;
}

}  // namespace gcvit::image
