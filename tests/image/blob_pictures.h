// SPDX-License-Identifier: Apache-2.0
// Pictures, made when the tests run.
#pragma once

#include <spng.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace gcvit::testing {

/// 8-bit RGB of a few coloured blobs, other ones for another seed.
inline std::vector<std::uint8_t> blob_pixels(std::int32_t height, std::int32_t width, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
  for (std::size_t c = 0; c < 3; ++c) {
    const double cx = static_cast<double>(random() % 100) / 100.0;
    const double cy = static_cast<double>(random() % 100) / 100.0;
    const double base = static_cast<double>(random() % 128);
    for (std::int32_t y = 0; y < height; ++y) {
      for (std::int32_t x = 0; x < width; ++x) {
        const double dx = static_cast<double>(x) / width - cx;
        const double dy = static_cast<double>(y) / height - cy;
        const double value = base + 127.0 / (1.0 + 20.0 * (dx * dx + dy * dy));
        pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) * 3 + c] =
            static_cast<std::uint8_t>(value);
      }
    }
  }
  return pixels;
}

/// The bytes of a PNG with these pixels.
inline std::string png_of(const std::vector<std::uint8_t>& pixels, std::int32_t height, std::int32_t width) {
  const std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> context(spng_ctx_new(SPNG_CTX_ENCODER), &spng_ctx_free);
  spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(width);
  header.height = static_cast<std::uint32_t>(height);
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  spng_set_ihdr(context.get(), &header);
  if (spng_encode_image(context.get(), pixels.data(), pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE) != 0) {
    throw std::runtime_error("can't encode a test picture");
  }
  std::size_t size = 0;
  int error = 0;
  void* const bytes = spng_get_png_buffer(context.get(), &size, &error);
  const std::string text(static_cast<const char*>(bytes), size);
  std::free(bytes);
  return text;
}

inline std::string blob_png(unsigned seed, std::int32_t height = 40, std::int32_t width = 56) {
  return png_of(blob_pixels(height, width, seed), height, width);
}

}  // namespace gcvit::testing
