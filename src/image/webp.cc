// SPDX-License-Identifier: Apache-2.0
// WebP through libwebp. The demuxer hands out the canvas size, EXIF and the first frame of stills and animations
// alike; a frame smaller than the canvas lies on black.
#include <algorithm>
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/decoders.h"
#include "base/error.h"

namespace gcvit::image {
namespace {

struct Release {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

struct FirstFrame {
  explicit FirstFrame(const WebPDemuxer* demuxer) : found(WebPDemuxGetFrame(demuxer, 1, &at) != 0) {}
  FirstFrame(const FirstFrame&) = delete;
  FirstFrame& operator=(const FirstFrame&) = delete;
  ~FirstFrame() { WebPDemuxReleaseIterator(&at); }

  WebPIterator at{};
  bool found;
};

int orientation_in(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk{};
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) != 0) {
    orientation = exif_orientation({chunk.chunk.bytes, chunk.chunk.size});
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

std::uint64_t little_endian(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value += std::uint64_t{bytes[i]} << (8 * i);
  return value;
}

/// What libwebp holds while it decodes a frame: four bytes a pixel of what is stored without loss, the whole picture or
/// its alpha, and one of alpha; and lossless Huffman tables, one set for 4 x 4 pixels at most, 2^16 sets at most.
std::uint64_t bytes_inside_libwebp(const WebPIterator& frame) {
  constexpr std::uint64_t kMostSets = 1 << 16;
  constexpr std::uint64_t kSetBytes = 6 << 10;
  constexpr std::uint64_t kLeastBytesOfSet = 4;
  const std::uint64_t pixels = static_cast<std::uint64_t>(frame.width) * static_cast<std::uint64_t>(frame.height);
  WebPBitstreamFeatures features{};
  const bool known = WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &features) == VP8_STATUS_OK;
  const bool lossy = known && features.format == 1;
  if (lossy && features.has_alpha == 0) return 0;
  const std::uint64_t sets = std::min({kMostSets, pixels / 16, std::uint64_t{frame.fragment.size} / kLeastBytesOfSet});
  return (lossy ? 5 : 4) * pixels + sets * kSetBytes;
}

/// The demuxer keeps a hundred bytes or so of each chunk and frame, be they empty.
void check_chunks(std::span<const std::uint8_t> file, std::string_view name) {
  constexpr std::size_t kMostChunks = std::size_t{1} << 18;
  std::size_t chunks = 0;
  for (std::size_t at = 12; at + 8 <= file.size(); ++chunks) {
    if (chunks == kMostChunks) fail("[webp] {}: expected at most {} chunks, found more", name, kMostChunks);
    const std::size_t size = little_endian(file.subspan(at + 4));
    at += 8 + size + size % 2;
  }
}

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "not enough memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "a feature that libwebp doesn't know";
    case VP8_STATUS_NOT_ENOUGH_DATA: return "a truncated file";
    default: return "a broken bitstream";
  }
}

}  // namespace

Decoded decode_webp(const Source& source) {
  const std::string_view name = source.name;
  const std::span<const std::uint8_t> file = as_unsigned(source.bytes);
  // "RIFF", the number of bytes that follow, "WEBP", chunks.
  const std::uint64_t size = 8 + little_endian(file.subspan(4));
  if (size > file.size()) fail("[webp] {}: expected {} bytes, found a truncated file of {}", name, size, file.size());
  check_chunks(file, name);
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPDemuxer, Release> demuxer(WebPDemux(&data));
  if (!demuxer) fail("[webp] {}: expected chunks that fit together, found a broken file", name);

  Decoded decoded;
  if (source.options.apply_exif) decoded.orientation = orientation_in(demuxer.get());
  const Header header{"webp", WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                      WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT)};
  check_size(header, source);
  const FirstFrame frame(demuxer.get());
  if (!frame.found) fail("[webp] {}: expected a frame, found none", name);
  const WebPIterator& at = frame.at;
  const auto width = static_cast<std::int32_t>(header.width);
  const auto height = static_cast<std::int32_t>(header.height);
  if (at.x_offset < 0 || at.y_offset < 0 || at.width < 1 || at.height < 1 || at.width > width - at.x_offset ||
      at.height > height - at.y_offset) {
    fail("[webp] {}: first frame: expected it inside the canvas of {} x {}, found {} x {} at {}, {}", name, width,
         height, at.width, at.height, at.x_offset, at.y_offset);
  }

  const std::uint64_t rgb = rgb_bytes(header.width, header.height);
  decoded.share =
      take_memory(rgb + std::max(bytes_inside_libwebp(at), decoded.orientation > 1 ? rgb : 0), header, source);
  Image& image = decoded.image;
  image = without_rows(header.width, header.height);
  image.pixels.resize(rgb);

  WebPDecoderConfig config{};
  if (WebPInitDecoderConfig(&config) == 0) fail("[webp] {}: libwebp's version is not the one built against", name);
  const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
  const std::size_t offset = static_cast<std::size_t>(at.y_offset) * stride + static_cast<std::size_t>(at.x_offset) * 3;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.pixels.data() + offset;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = image.pixels.size() - offset;
  // libwebp refuses a bitstream that is larger than the memory it may write to.
  const VP8StatusCode status = WebPDecode(at.fragment.bytes, at.fragment.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) fail("[webp] {}: expected a picture, found {}", name, describe(status));
  return decoded;
}

}  // namespace gcvit::image
