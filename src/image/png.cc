// SPDX-License-Identifier: Apache-2.0
// PNG through libspng. Up to 8 bits it expands palettes and grey and drops alpha by itself; 16 bits come out as stored
// and are narrowed here, since libspng keeps the upper byte and the nearest of 256 levels is v / 257 rounded.
#include <cstring>
#include <memory>

#include <spng.h>

#include "image/decoders.h"
#include "tensor/error.h"

namespace gcvit::image {
namespace {

/// Bounds what text, profile and EXIF chunks may take, compressed ones included once they are inflated.
constexpr std::size_t kMaxChunkBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxChunksBytes = std::size_t{64} << 20;

struct Release {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};

class PngReader {
 public:
  PngReader(std::span<const std::byte> bytes, std::string_view name) : context_(spng_ctx_new(0)), name_(name) {
    if (!context_) fail("[png] {}: expected memory for a decoder, found none", name_);
    must(spng_set_chunk_limits(context_.get(), kMaxChunkBytes, kMaxChunksBytes));
    // A picture is worth more than its tags: a damaged side chunk is passed over, a damaged picture isn't.
    must(spng_set_crc_action(context_.get(), SPNG_CRC_ERROR, SPNG_CRC_DISCARD));
    must(spng_set_png_buffer(context_.get(), bytes.data(), bytes.size()));
    must(spng_get_ihdr(context_.get(), &header_));
  }

  Image read(std::uint64_t max_pixels) {
    Image image = allocate(header_.width, header_.height, max_pixels, "png", name_);
    if (header_.bit_depth < 16) {
      must(spng_decode_image(context_.get(), image.pixels.data(), image.pixels.size(), SPNG_FMT_RGB8, 0));
    } else {
      std::vector<std::uint8_t> stored(stored_bytes());
      must(spng_decode_image(context_.get(), stored.data(), stored.size(), SPNG_FMT_PNG, 0));
      narrow(stored, image.pixels);
    }
    // EXIF may stand behind the pixels; a file that ends before its last chunk is truncated.
    must(spng_decode_chunks(context_.get()));
    return image;
  }

  int orientation() const {
    spng_exif exif{};
    if (spng_get_exif(context_.get(), &exif) != 0) return 1;
    return exif_orientation({reinterpret_cast<const std::uint8_t*>(exif.data), exif.length});
  }

 private:
  void must(int code) const {
    if (code == SPNG_IO_EOF) fail("[png] {}: expected the whole picture, found a truncated file", name_);
    if (code != 0) fail("[png] {}: {}", name_, spng_strerror(code));
  }

  std::size_t stored_bytes() const {
    std::size_t bytes = 0;
    must(spng_decoded_image_size(context_.get(), SPNG_FMT_PNG, &bytes));
    return bytes;
  }

  void narrow(std::span<const std::uint8_t> stored, std::span<std::uint8_t> rgb) const {
    const bool grey =
        header_.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header_.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
    const std::size_t pixel_bytes = stored.size() / (rgb.size() / 3);
    for (std::size_t i = 0; i < rgb.size(); ++i) {
      std::uint16_t value = 0;
      std::memcpy(&value, stored.data() + i / 3 * pixel_bytes + (grey ? 0 : i % 3 * 2), sizeof value);
      rgb[i] = static_cast<std::uint8_t>((value + 128) / 257);
    }
  }

  std::unique_ptr<spng_ctx, Release> context_;
  std::string_view name_;
  spng_ihdr header_{};
};

}  // namespace

Decoded decode_png(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels) {
  PngReader reader(bytes, name);
  Decoded decoded;
  decoded.image = reader.read(max_pixels);
  decoded.orientation = reader.orientation();
  return decoded;
}

}  // namespace gcvit::image
