// SPDX-License-Identifier: Apache-2.0
// JPEG through libjpeg-turbo, with its defaults (accurate integer DCT, smooth chroma upsampling): those are Pillow's,
// so the pixels are too. libjpeg reports an error by a callback that must not return. Ours jumps back to `guarded`;
// between the two lie only libjpeg's C frames and the lambda passed to it, which owns nothing.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>
// jerror.h names the messages and needs jpeglib.h before it.
#include <jerror.h>

#include "image/decoders.h"
#include "base/error.h"

namespace gcvit::image {
namespace {

/// Progressive encoders write about ten scans. Each scan walks over the whole picture, so a small file with thousands
/// would keep a core busy for hours: there may be this many, fewer where they would walk over more than so many pixels,
/// but a dozen and some always.
constexpr std::uint64_t kMaxScans = 100;
constexpr std::uint64_t kMaxScannedPixels = std::uint64_t{1} << 32;
constexpr std::uint64_t kScansOfAnyPicture = 16;

class JpegReader {
 public:
  explicit JpegReader(const Source& source) : source_(source) {
    decompress_.err = jpeg_std_error(&errors_);
    decompress_.client_data = this;
    errors_.error_exit = [](j_common_ptr common) { of(common).jump_out(); };
    errors_.emit_message = [](j_common_ptr common, int level) { of(common).heed(level); };
    errors_.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = [](j_common_ptr common) { of(common).count_scans(); };
    guarded([this] {
      jpeg_create_decompress(&decompress_);
      decompress_.progress = &progress_;
      const std::span<const std::uint8_t> bytes = as_unsigned(source_.bytes);
      jpeg_mem_src(&decompress_, bytes.data(), static_cast<unsigned long>(bytes.size()));
      jpeg_set_marker_processor(&decompress_, JPEG_APP0 + 1, [](j_decompress_ptr decompress) -> boolean {
        of(reinterpret_cast<j_common_ptr>(decompress)).read_app1();
        return TRUE;
      });
      jpeg_read_header(&decompress_, TRUE);
    });
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&decompress_); }

  std::int32_t height() const { return static_cast<std::int32_t>(decompress_.image_height); }
  std::int32_t width() const { return static_cast<std::int32_t>(decompress_.image_width); }
  Header header() const { return {"jpeg", decompress_.image_width, decompress_.image_height}; }

  /// Throws `Error` on a picture that is too large, has components we don't know or can't be whole.
  void check() const {
    const int components = decompress_.num_components;
    if (components != 1 && components != 3 && components != 4) {
      fail("[jpeg] {}: expected 1, 3 or 4 components, found {}", source_.name, components);
    }
    check_size(header(), source_);
    // Each block's mean takes a bit at least in Huffman's code. Arithmetic coding takes hardly any in a flat picture.
    const std::uint64_t least = blocks(false) / 8;
    if (decompress_.arith_code == FALSE && source_.bytes.size() < least) {
      fail("[jpeg] {}: expected the whole picture, {} bytes at least for {} x {} pixels, found a truncated file of {}",
           source_.name, least, width(), height(), source_.bytes.size());
    }
  }

  /// Bytes of the coefficients that are held till the last scan has come, whatever the reduction; 0 of a picture that is
  /// decoded row by row.
  std::uint64_t coefficient_bytes() {
    return jpeg_has_multiple_scans(&decompress_) != FALSE ? blocks(true) * DCTSIZE2 * sizeof(JCOEF) : 0;
  }

  /// `reduction`: by how much the sides shrink, 1, 2, 4 or 8.
  Image read(int reduction) {
    const bool cmyk = decompress_.num_components == 4;
    const std::uint64_t pixels = std::uint64_t{decompress_.image_width} * decompress_.image_height;
    max_scans_ = static_cast<int>(std::clamp(kMaxScannedPixels / pixels, kScansOfAnyPicture, kMaxScans));
    Image image =
        without_rows(reduced(decompress_.image_width, reduction), reduced(decompress_.image_height, reduction));
    std::vector<std::uint8_t> cmyk_row(cmyk ? static_cast<std::size_t>(image.width) * 4 : 0);
    guarded([this, cmyk, reduction, &image, &cmyk_row] {
      decompress_.scale_num = 1;
      decompress_.scale_denom = static_cast<unsigned int>(reduction);
      decompress_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
      jpeg_start_decompress(&decompress_);
      while (decompress_.output_scanline < decompress_.output_height) {
        std::uint8_t* row = next_row(image);
        JSAMPROW target = cmyk ? cmyk_row.data() : row;
        jpeg_read_scanlines(&decompress_, &target, 1);
        if (cmyk) to_rgb(cmyk_row, row);
      }
    });
    return image;
  }

  int orientation() const { return exif_orientation(exif_); }

  static std::uint64_t reduced(std::uint64_t side, int reduction) {
    const auto divisor = static_cast<std::uint64_t>(reduction);
    return (side + divisor - 1) / divisor;
  }

 private:
  static JpegReader& of(j_common_ptr common) { return *static_cast<JpegReader*>(common->client_data); }

  /// Runs `calls`; an error inside becomes an `Error` here. `calls` must own nothing: it may be jumped over.
  template <typename Calls>
  void guarded(const Calls& calls) {
    if (setjmp(jump_) != 0) {
      jpeg_destroy_decompress(&decompress_);  // here too, as no destructor runs after a throwing constructor
      fail("[jpeg] {}: {}", source_.name, message_);
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
    if (level < 0 && errors_.msg_code == JWRN_JPEG_EOF) jump_out(kTruncated);
  }

  void count_scans() {
    if (decompress_.input_scan_number <= max_scans_) return;
    std::snprintf(message_, sizeof message_, "expected at most %d scans, found more", max_scans_);
    std::longjmp(jump_, 1);
  }

  /// Keeps the first EXIF block, where it lies. libjpeg would copy each APP1 segment, and a segment of four bytes costs it
  /// ten times as many.
  void read_app1() {
    jpeg_source_mgr& input = *decompress_.src;
    if (input.bytes_in_buffer < 2) jump_out(kTruncated);
    const std::size_t length =
        std::max<std::size_t>(std::size_t{input.next_input_byte[0]} << 8 | std::size_t{input.next_input_byte[1]}, 2);
    if (input.bytes_in_buffer < length) jump_out(kTruncated);
    const std::span<const std::uint8_t> data(input.next_input_byte + 2, length - 2);
    // APP1 also carries XMP.
    if (exif_.empty() && data.size() >= 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0) exif_ = data;
    input.next_input_byte += length;
    input.bytes_in_buffer -= length;
  }

  /// 8x8 blocks of all components; `held`: as libjpeg holds them, up to whole units of the sampling.
  std::uint64_t blocks(bool held) const {
    std::uint64_t count = 0;
    for (const jpeg_component_info& component :
         std::span(decompress_.comp_info, static_cast<std::size_t>(decompress_.num_components))) {
      const auto up_to = [held](std::uint64_t side, int unit) {
        const auto step = static_cast<std::uint64_t>(held ? unit : 1);
        return (side + step - 1) / step * step;
      };
      count += up_to(component.width_in_blocks, component.h_samp_factor) *
               up_to(component.height_in_blocks, component.v_samp_factor);
    }
    return count;
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

  static constexpr const char* kTruncated = "expected the whole picture, found a truncated file";

  const Source& source_;
  std::span<const std::uint8_t> exif_;
  int max_scans_ = static_cast<int>(kMaxScans);
  jpeg_decompress_struct decompress_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = {};
};

}  // namespace

Decoded decode_jpeg(const Source& source, const ChooseReduction& choose) {
  Decoded decoded;
  JpegReader reader(source);
  reader.check();
  if (source.options.apply_exif) decoded.orientation = reader.orientation();
  int reduction = 1;
  if (choose) {
    const bool lies = decoded.orientation >= 5;  // rows are columns
    reduction = lies ? choose(reader.width(), reader.height()) : choose(reader.height(), reader.width());
    decoded.chosen = true;
  }
  const std::uint64_t rgb = rgb_bytes(JpegReader::reduced(reader.header().width, reduction),
                                      JpegReader::reduced(reader.header().height, reduction));
  // Coefficients are gone when it is turned.
  const std::uint64_t beside = std::max(reader.coefficient_bytes(), decoded.orientation > 1 ? rgb : 0);
  decoded.share = take_memory(rgb + beside, reader.header(), source);
  decoded.image = reader.read(reduction);
  return decoded;
}

}  // namespace gcvit::image
