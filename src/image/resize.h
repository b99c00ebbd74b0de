// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "image/decode.h"

namespace gcvit::image {

/// Bicubic is Keys' cubic with a = -0.5 in both resizes below.
enum class Filter { kBilinear, kBicubic };

/// A picture may be resized beyond kMaxSide when only a window of the result is computed.
inline constexpr std::int32_t kMaxResizedSide = 1 << 30;

/// The part of a resized picture that is wanted, in the resized picture's pixels.
struct Window {
  std::int32_t top = 0;
  std::int32_t left = 0;
  std::int32_t height = 0;
  std::int32_t width = 0;
};

/// Memory that resizing needs; keep one a thread and a stream of pictures allocates only while it grows.
struct ResizeScratch {
  /// One axis of an antialiased filter. The outputs reach `length` inputs from `first` on. An output is the sum over
  /// k < taps of weights[offset + k] times input first + start + k.
  struct Axis {
    struct Output {
      std::int32_t start;
      std::int32_t taps;
      std::size_t offset;
    };
    bool filtered;
    std::int32_t first;
    std::int32_t length;
    std::vector<Output> outputs;
    std::vector<std::int32_t> weights;
    std::vector<double> exact;
  };
  Axis vertical{};
  Axis horizontal{};
  std::vector<std::uint8_t> between;
  std::vector<std::int32_t> sums;

  /// One neighbour that resize_tensorflow weighs.
  struct Tap {
    std::int32_t input;
    float weight;
  };
  std::vector<Tap> taps;
};

/// Pillow 13's `Image.resize((width, height), filter)`, bit for bit: antialiased, 8 bits between the passes, an axis
/// whose size stays is not filtered. Of the result only `window` is computed, into `out` (window.height x window.width
/// x 3). Throws `Error` when a side isn't in 1..kMaxResizedSide, the window lies outside the result or `out` has
/// another size.
void resize_antialiased(const Image& image, std::int32_t height, std::int32_t width, Filter filter,
                        const Window& window, std::span<std::uint8_t> out, ResizeScratch& scratch);

/// The same, whole and on its own.
Image resize_antialiased(const Image& image, std::int32_t height, std::int32_t width, Filter filter);

/// What a byte of each channel stands for.
using ByteValues = std::array<std::array<float, 256>, 3>;

/// `tf.image.resize(values, [height, width], method)` with its defaults (half-pixel centres, no antialias), where
/// `values` is the picture with every byte replaced by `byte_values[channel][byte]`. `out` is height x width x 3.
/// As TensorFlow's, the cubic's fraction is rounded to 1/1024 and its weights are renormalised at the edges.
void resize_tensorflow(const Image& image, const ByteValues& byte_values, std::int32_t height, std::int32_t width,
                       Filter filter, std::span<float> out, ResizeScratch& scratch);

}  // namespace gcvit::image
