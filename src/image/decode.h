// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace gcvit::image {

/// No side of an image may be longer: what a JPEG can say, and what keeps a filter's table small.
inline constexpr std::int32_t kMaxSide = 65535;

/// The pixels that a picture may have unless a caller says otherwise: where Pillow begins to refuse a picture as a bomb.
inline constexpr std::uint64_t kMaxPixels = 178'956'970;

/// 8-bit RGB: `pixels` holds height x width x 3 bytes, rows from the top, nothing between them.
struct Image {
  std::int32_t width = 0;
  std::int32_t height = 0;
  std::vector<std::uint8_t> pixels;
  /// What a decoded picture holds of the decoders' memory, given back with the last copy of it.
  std::shared_ptr<const void> share = {};
};

/// Throws `Error` unless the sides are in 1..kMaxSide and `pixels` has the size they say.
void check(const Image& image);

struct DecodeOptions {
  /// Turn the picture as its EXIF orientation says. TensorFlow and timm don't.
  bool apply_exif = true;
  /// A picture that claims more pixels (width x height) is refused before memory for it is asked for.
  std::uint64_t max_pixels = kMaxPixels;
  /// Bytes that the program may take, 0 for `default_memory_limit()`: all pictures of this process may take a third of
  /// it together while they are decoded and held. A picture that needs more than that by itself is refused before its
  /// pixels are decoded; one that finds too little free waits for the others.
  std::uint64_t max_memory = 0;
};

/// Decodes a JPEG, PNG or WebP picture, told apart by its first bytes. Alpha is dropped, not blended; grey is repeated;
/// 16 bits become 8 by dividing by 257 and rounding; CMYK follows the inverted-Adobe rule; of an animation comes the
/// first frame. What has 8 bits or less equals Pillow's `convert("RGB")` (of RGBA: the three channels as they are).
/// `name` stands for the picture in errors. Throws `Error` on anything but a whole, valid picture.
///
/// Beside `bytes` it takes at most 4 times the pixels' 3 bytes, and 64 MB; docs/preprocessing.md has the kinds one by one.
/// A thread that waits for memory must hold no other picture.
Image decode(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options = {});

/// Says from a picture's size, upright if the options ask for that, at which of 1, 2, 4 or 8 times smaller sides it may
/// be decoded.
using ChooseReduction = std::function<int(std::int32_t height, std::int32_t width)>;

/// Like `decode`, but a JPEG may come with sides n times smaller, rounded up: each 8x8 block gives (8/n)x(8/n) pixels, made
/// of its lower frequencies. Much faster than all pixels, and near to their mean over n x n, not equal to it: for
/// training's random crops. Other pictures come whole, after `choose` was asked in vain.
Image decode_reduced(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options,
                     const ChooseReduction& choose);

/// Waits till there is memory for a file of `bytes` bytes beside those that other threads have read and not let go: 1 GiB
/// for all of them, or what `options` leaves for pictures where that is less. Take it before the file is read, and let it
/// go after.
std::shared_ptr<const void> take_file_memory(std::uint64_t bytes, const DecodeOptions& options);

/// Reads the file at `path`, at most 1 GiB, and decodes it.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

}  // namespace gcvit::image
