// SPDX-License-Identifier: Apache-2.0
// PNG through libspng, row by row. Up to 8 bits it expands palettes and grey and drops alpha by itself; 16 bits come out
// as stored and are narrowed here, since libspng keeps the upper byte and the nearest of 256 levels is v / 257 rounded.
#include <array>
#include <cstring>
#include <memory>

#include <spng.h>

#include "image/decoders.h"
#include "base/error.h"

namespace gcvit::image {
namespace {

/// Bounds what text, profile and EXIF chunks may take, compressed ones included once they are inflated.
constexpr std::size_t kMaxChunkBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxChunksBytes = std::size_t{64} << 20;

/// Deflate makes 258 bytes of two bits at best.
constexpr std::uint64_t kMostInflation = 1032;

/// The columns that a pass of an interlaced picture has.
struct Columns {
  std::uint32_t first;
  std::uint32_t step;
};
constexpr std::array<Columns, 7> kAdam7 = {{{0, 8}, {4, 8}, {0, 4}, {2, 4}, {0, 2}, {1, 2}, {0, 1}}};

struct Release {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};

class PngReader {
 public:
  explicit PngReader(const Source& source) : context_(spng_ctx_new(0)), source_(source) {
    if (!context_) fail("[png] {}: expected memory for a decoder, found none", source_.name);
    must(spng_set_chunk_limits(context_.get(), kMaxChunkBytes, kMaxChunksBytes));
    // A picture is worth more than its tags: a damaged side chunk is passed over, a damaged picture isn't.
    must(spng_set_crc_action(context_.get(), SPNG_CRC_ERROR, SPNG_CRC_DISCARD));
    must(spng_set_png_buffer(context_.get(), source_.bytes.data(), source_.bytes.size()));
    must(spng_get_ihdr(context_.get(), &header_));
  }

  Header header() const { return {"png", header_.width, header_.height}; }

  /// Throws `Error` on a picture that is too large or can't be whole.
  void check() const {
    check_size(header(), source_);
    const std::uint64_t least = stored_row_bytes() * header_.height / kMostInflation;
    if (source_.bytes.size() < least) {
      fail("[png] {}: expected the whole picture, {} bytes at least for {} x {} pixels, found a truncated file of {}",
           source_.name, least, header_.width, header_.height, source_.bytes.size());
    }
  }

  Image read() {
    Image image = without_rows(header_.width, header_.height);
    const bool interlaced = header_.interlace_method != SPNG_INTERLACE_NONE;
    // Its rows come in no order, and several times.
    if (interlaced) image.pixels.resize(rgb_bytes(header_.width, header_.height));
    const std::size_t row_bytes = static_cast<std::size_t>(image.width) * 3;
    const bool wide = header_.bit_depth == 16;
    std::vector<std::uint8_t> stored(wide ? stored_row_bytes() : 0);
    must(spng_decode_image(context_.get(), nullptr, 0, wide ? SPNG_FMT_PNG : SPNG_FMT_RGB8, SPNG_DECODE_PROGRESSIVE));
    while (true) {
      // The end is told with the last row, or behind it where an interlaced picture's last pass is empty.
      spng_row_info row{};
      if (at_end(spng_get_row_info(context_.get(), &row))) break;
      std::uint8_t* out = interlaced ? image.pixels.data() + row.row_num * row_bytes : next_row(image);
      const bool last = at_end(wide ? spng_decode_row(context_.get(), stored.data(), stored.size())
                                    : spng_decode_row(context_.get(), out, row_bytes));
      if (wide) narrow(stored, interlaced ? kAdam7[static_cast<std::size_t>(row.pass)] : Columns{0, 1}, out);
      if (last) break;
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
    if (code == SPNG_IO_EOF) fail("[png] {}: expected the whole picture, found a truncated file", source_.name);
    if (code != 0) fail("[png] {}: {}", source_.name, spng_strerror(code));
  }

  /// Throws `Error` on a code that is neither success nor the picture's end.
  bool at_end(int code) const {
    if (code == SPNG_EOI) return true;
    must(code);
    return false;
  }

  bool grey() const {
    return header_.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header_.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  }

  std::size_t channels() const {
    switch (header_.color_type) {
      case SPNG_COLOR_TYPE_TRUECOLOR: return 3;
      case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA: return 2;
      case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA: return 4;
      default: return 1;  // grey, or an index
    }
  }

  std::size_t stored_row_bytes() const { return (header_.width * channels() * header_.bit_depth + 7) / 8; }

  /// Brings a row's stored pixels in `columns` to 8 bits, in `rgb`.
  void narrow(std::span<const std::uint8_t> stored, Columns columns, std::uint8_t* rgb) const {
    const std::size_t pixel_bytes = channels() * 2;
    const std::size_t next_channel = grey() ? 0 : 2;
    for (std::size_t x = columns.first; x < header_.width; x += columns.step) {
      for (std::size_t channel = 0; channel < 3; ++channel) {
        std::uint16_t value = 0;
        std::memcpy(&value, stored.data() + x * pixel_bytes + channel * next_channel, sizeof value);
        rgb[x * 3 + channel] = static_cast<std::uint8_t>((value + 128) / 257);
      }
    }
  }

  std::unique_ptr<spng_ctx, Release> context_;
  const Source& source_;
  spng_ihdr header_{};
};

}  // namespace

Decoded decode_png(const Source& source) {
  Decoded decoded;
  PngReader reader(source);
  reader.check();
  // EXIF may stand behind the pixels, so room to turn them is taken before it is known whether that is needed.
  const std::uint64_t rgb = rgb_bytes(reader.header().width, reader.header().height);
  decoded.share = take_memory(source.options.apply_exif ? 2 * rgb : rgb, reader.header(), source);
  decoded.image = reader.read();
  decoded.orientation = reader.orientation();
  return decoded;
}

}  // namespace gcvit::image
