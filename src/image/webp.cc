// SPDX-License-Identifier: Apache-2.0
// WebP through libwebp. The demuxer hands out the canvas size, EXIF and the first frame of stills and animations
// alike; a frame smaller than the canvas lies on black.
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/decoders.h"
#include "tensor/error.h"

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

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "not enough memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "a feature that libwebp doesn't know";
    case VP8_STATUS_NOT_ENOUGH_DATA: return "a truncated file";
    default: return "a broken bitstream";
  }
}

}  // namespace

Decoded decode_webp(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels) {
  const std::span<const std::uint8_t> file = as_unsigned(bytes);
  // "RIFF", the number of bytes that follow, "WEBP", chunks.
  std::uint64_t size = 8;
  for (std::size_t i = 0; i < 4; ++i) size += std::uint64_t{file[4 + i]} << (8 * i);
  if (size > file.size()) fail("[webp] {}: expected {} bytes, found a truncated file of {}", name, size, file.size());
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPDemuxer, Release> demuxer(WebPDemux(&data));
  if (!demuxer) fail("[webp] {}: expected chunks that fit together, found a broken file", name);

  Decoded decoded;
  decoded.orientation = orientation_in(demuxer.get());
  Image& image = decoded.image;
  image = allocate(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                   WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT), max_pixels, "webp", name);

  const FirstFrame frame(demuxer.get());
  if (!frame.found) fail("[webp] {}: expected a frame, found none", name);
  const WebPIterator& at = frame.at;
  if (at.x_offset < 0 || at.y_offset < 0 || at.width < 1 || at.height < 1 || at.width > image.width - at.x_offset ||
      at.height > image.height - at.y_offset) {
    fail("[webp] {}: first frame: expected it inside the canvas of {} x {}, found {} x {} at {}, {}", name, image.width,
         image.height, at.width, at.height, at.x_offset, at.y_offset);
  }

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
