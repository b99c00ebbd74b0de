// SPDX-License-Identifier: Apache-2.0
// JPEG through libjpeg-turbo, with its defaults (accurate integer DCT, smooth chroma upsampling): those are Pillow's,
// so the pixels are too. libjpeg reports an error by a callback that must not return. Ours jumps back to `guarded`;
// between the two lie only libjpeg's C frames and the lambda passed to it, which owns nothing.
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>
// jerror.h names the messages and needs jpeglib.h before it.
#include <jerror.h>

#include "image/decoders.h"
#include "tensor/error.h"

namespace gcvit::image {
namespace {

/// Progressive encoders write about ten scans. Each scan walks over the whole picture, so a small file with thousands
/// would keep a core busy for hours.
constexpr int kMaxScans = 100;
constexpr unsigned int kLongestMarker = 0xFFFF;

class JpegReader {
 public:
  JpegReader(std::span<const std::byte> bytes, std::string_view name) : name_(name) {
    decompress_.err = jpeg_std_error(&errors_);
    decompress_.client_data = this;
    errors_.error_exit = [](j_common_ptr common) { of(common).jump_out(); };
    errors_.emit_message = [](j_common_ptr common, int level) { of(common).heed(level); };
    errors_.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = [](j_common_ptr common) { of(common).count_scans(); };
    guarded([this, bytes] {
      jpeg_create_decompress(&decompress_);
      decompress_.progress = &progress_;
      const std::span<const std::uint8_t> source = as_unsigned(bytes);
      jpeg_mem_src(&decompress_, source.data(), static_cast<unsigned long>(source.size()));
      jpeg_save_markers(&decompress_, JPEG_APP0 + 1, kLongestMarker);
      jpeg_read_header(&decompress_, TRUE);
    });
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&decompress_); }

  std::int32_t height() const { return static_cast<std::int32_t>(decompress_.image_height); }
  std::int32_t width() const { return static_cast<std::int32_t>(decompress_.image_width); }

  /// `reduction`: by how much the sides shrink, 1, 2, 4 or 8.
  Image read(std::uint64_t max_pixels, int reduction) {
    const int components = decompress_.num_components;
    if (components != 1 && components != 3 && components != 4) {
      fail("[jpeg] {}: expected 1, 3 or 4 components, found {}", name_, components);
    }
    const bool cmyk = components == 4;
    // However small it comes out, all of a progressive picture's frequencies are held.
    check_size(decompress_.image_width, decompress_.image_height, max_pixels, "jpeg", name_);
    const auto divisor = static_cast<std::uint64_t>(reduction);
    Image image = allocate((decompress_.image_width + divisor - 1) / divisor,
                           (decompress_.image_height + divisor - 1) / divisor, max_pixels, "jpeg", name_);
    std::vector<std::uint8_t> cmyk_row(cmyk ? static_cast<std::size_t>(image.width) * 4 : 0);
    guarded([this, cmyk, reduction, &image, &cmyk_row] {
      decompress_.scale_num = 1;
      decompress_.scale_denom = static_cast<unsigned int>(reduction);
      decompress_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
      jpeg_start_decompress(&decompress_);
      while (decompress_.output_scanline < decompress_.output_height) {
        std::uint8_t* row =
            image.pixels.data() + std::size_t{decompress_.output_scanline} * decompress_.output_width * 3;
        JSAMPROW target = cmyk ? cmyk_row.data() : row;
        jpeg_read_scanlines(&decompress_, &target, 1);
        if (cmyk) to_rgb(cmyk_row, row);
      }
    });
    return image;
  }

  int orientation() const {
    for (const jpeg_marker_struct* marker = decompress_.marker_list; marker != nullptr; marker = marker->next) {
      const std::span<const std::uint8_t> data(marker->data, marker->data_length);
      // APP1 also carries XMP.
      if (data.size() >= 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0) return exif_orientation(data);
    }
    return 1;
  }

 private:
  static JpegReader& of(j_common_ptr common) { return *static_cast<JpegReader*>(common->client_data); }

  /// Runs `calls`; an error inside becomes an `Error` here. `calls` must own nothing: it may be jumped over.
  template <typename Calls>
  void guarded(const Calls& calls) {
    if (setjmp(jump_) != 0) {
      jpeg_destroy_decompress(&decompress_);  // here too, as no destructor runs after a throwing constructor
      fail("[jpeg] {}: {}", name_, message_);
    }
    calls();
  }

  [[noreturn]] void jump_out() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&decompress_), message_);
    std::longjmp(jump_, 1);
  }
  [[noreturn]] void jump_out(const char* message) {
    std::snprintf(message_, sizeof message_, "%s", message);
    std::longjmp(jump_, 1);
  }

  /// libjpeg paints the rest of a truncated picture grey and only warns; a photo half grey must not be classified.
  /// Its other warnings are about small damage that every viewer passes over.
  void heed(int level) {
    if (level < 0 && errors_.msg_code == JWRN_JPEG_EOF) jump_out("expected the whole picture, found a truncated file");
  }

  void count_scans() {
    if (decompress_.input_scan_number > kMaxScans) jump_out("expected at most 100 scans, found more");
  }

  /// Photoshop stores CMYK inverted, and every reader takes it so. The products are Pillow's: (1 - k) - c (1 - k).
  static void to_rgb(std::span<const std::uint8_t> inverted_cmyk, std::uint8_t* rgb) {
    for (std::size_t i = 0; i < inverted_cmyk.size(); i += 4, rgb += 3) {
      const int white = inverted_cmyk[i + 3];
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const int product = (255 - inverted_cmyk[i + channel]) * white + 128;
        rgb[channel] = static_cast<std::uint8_t>(white - (((product >> 8) + product) >> 8));
      }
    }
  }

  std::string_view name_;
  jpeg_decompress_struct decompress_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = {};
};

}  // namespace

Decoded decode_jpeg(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options,
                    const ChooseReduction& choose) {
  JpegReader reader(bytes, name);
  Decoded decoded;
  decoded.orientation = reader.orientation();
  int reduction = 1;
  if (choose) {
    const bool lies = options.apply_exif && decoded.orientation >= 5;  // rows are columns
    reduction = lies ? choose(reader.width(), reader.height()) : choose(reader.height(), reader.width());
    decoded.chosen = true;
  }
  decoded.image = reader.read(options.max_pixels, reduction);
  return decoded;
}

}  // namespace gcvit::image
