// SPDX-License-Identifier: Apache-2.0
// Large pictures that are small files, made when the tests run.
#pragma once

#include <cstdio>
// jpeglib.h needs cstdio before it.
#include <jpeglib.h>
#include <spng.h>
#include <webp/encode.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

namespace gcvit::testing {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(const void* data, std::size_t size) {
  Bytes bytes(size);
  std::memcpy(bytes.data(), data, size);
  return bytes;
}

struct JpegKind {
  int channels = 3;  ///< 1: grey, 3: RGB, 4: CMYK
  bool progressive = false;
  bool chroma_as_large = false;  ///< 4:4:4
  std::vector<jpeg_scan_info> scans = {};  ///< in place of the usual ones
};

/// A JPEG of one colour.
inline Bytes flat_jpeg(unsigned height, unsigned width, const JpegKind& kind) {
  jpeg_compress_struct compress{};
  jpeg_error_mgr errors{};
  compress.err = jpeg_std_error(&errors);
  jpeg_create_compress(&compress);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&compress, &memory, &size);
  compress.image_height = height;
  compress.image_width = width;
  compress.input_components = kind.channels;
  compress.in_color_space = kind.channels == 1 ? JCS_GRAYSCALE : kind.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&compress);
  if (kind.chroma_as_large) compress.comp_info[0].h_samp_factor = compress.comp_info[0].v_samp_factor = 1;
  if (kind.progressive) jpeg_simple_progression(&compress);
  if (!kind.scans.empty()) {
    compress.scan_info = kind.scans.data();
    compress.num_scans = static_cast<int>(kind.scans.size());
  }
  jpeg_start_compress(&compress, TRUE);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(width) * static_cast<std::size_t>(kind.channels), 120);
  JSAMPROW rows = row.data();
  while (compress.next_scanline < height) jpeg_write_scanlines(&compress, &rows, 1);
  jpeg_finish_compress(&compress);
  jpeg_destroy_compress(&compress);
  Bytes bytes = bytes_of(memory, size);
  std::free(memory);
  return bytes;
}

/// A grey progressive JPEG of 128 scans: each frequency by itself, twice.
inline Bytes jpeg_of_many_scans(unsigned side) {
  std::vector<jpeg_scan_info> scans;
  for (const int low : {1, 0}) {
    const int high = low == 1 ? 0 : 1;
    for (int frequency = 0; frequency < DCTSIZE2; ++frequency) {
      scans.push_back({1, {0, 0, 0, 0}, frequency, frequency, high, low});
    }
  }
  return flat_jpeg(side, side, {.channels = 1, .scans = scans});
}

/// Bytes of a pixel of a PNG with whole bytes in each channel.
inline std::size_t pixel_bytes(spng_color_type color, std::uint8_t depth) {
  const std::size_t channels = color == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA   ? 4
                               : color == SPNG_COLOR_TYPE_TRUECOLOR       ? 3
                               : color == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ? 2
                                                                          : 1;
  return channels * depth / 8;
}

/// A PNG of these pixels, of 8 or 16 bits a channel.
inline Bytes stored_png(const std::vector<std::uint8_t>& pixels, std::uint32_t height, std::uint32_t width,
                        spng_color_type color, std::uint8_t depth, bool interlaced) {
  const std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> context(spng_ctx_new(SPNG_CTX_ENCODER), &spng_ctx_free);
  spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  spng_set_option(context.get(), SPNG_IMG_COMPRESSION_LEVEL, 1);
  spng_ihdr header{};
  header.height = height;
  header.width = width;
  header.bit_depth = depth;
  header.color_type = static_cast<std::uint8_t>(color);
  header.interlace_method = interlaced ? 1 : 0;
  spng_set_ihdr(context.get(), &header);
  if (spng_encode_image(context.get(), pixels.data(), pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE) != 0) {
    throw std::runtime_error("can't encode a test picture");
  }
  std::size_t size = 0;
  int error = 0;
  void* const memory = spng_get_png_buffer(context.get(), &size, &error);
  Bytes bytes = bytes_of(memory, size);
  std::free(memory);
  return bytes;
}

/// A PNG of black pixels.
inline Bytes flat_png(std::uint32_t height, std::uint32_t width, spng_color_type color, std::uint8_t depth,
                      bool interlaced) {
  const std::vector<std::uint8_t> pixels(std::size_t{height} * width * pixel_bytes(color, depth));
  return stored_png(pixels, height, width, color, depth, interlaced);
}

/// A WebP of a few shades, half transparent if `alpha`.
inline Bytes plain_webp(int height, int width, bool lossless, bool alpha) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 4);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<std::uint8_t>(i % 4 != 3 ? i / 4096 % 7 * 20 : alpha ? i / 8192 % 5 * 30 : 255);
  }
  std::uint8_t* memory = nullptr;
  const std::size_t size = lossless ? WebPEncodeLosslessRGBA(pixels.data(), width, height, 4 * width, &memory)
                                    : WebPEncodeRGBA(pixels.data(), width, height, 4 * width, 10.0f, &memory);
  if (size == 0) throw std::runtime_error("can't encode a test picture");
  Bytes bytes = bytes_of(memory, size);
  WebPFree(memory);
  return bytes;
}

}  // namespace gcvit::testing
