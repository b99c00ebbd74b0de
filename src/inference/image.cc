// SPDX-License-Identifier: Apache-2.0
#include "gcvit/image.h"

#include <utility>

#include "base/error.h"
#include "image/decode.h"
#include "inference/preparation.h"

namespace gcvit {

std::int32_t channels_of(ChannelOrder order) {
  switch (order) {
    case ChannelOrder::kRgb:
    case ChannelOrder::kBgr: return 3;
    case ChannelOrder::kRgba:
    case ChannelOrder::kBgra: return 4;
    case ChannelOrder::kGrey: return 1;
  }
  fail("[image] channel order: expected one of 5, found {}", static_cast<int>(order));
}

Image Image::file(std::string path) { return {Kind::kFile, std::move(path)}; }

Image Image::encoded(std::span<const std::byte> bytes, std::string name) {
  Image image(Kind::kEncoded, std::move(name));
  image.bytes_ = bytes;
  return image;
}

Image Image::encoded(std::vector<std::byte> bytes, std::string name) {
  Image image(Kind::kEncoded, std::move(name));
  image.owned_ = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  image.bytes_ = *image.owned_;
  return image;
}

Image Image::pixels(std::span<const std::uint8_t> bytes, std::int32_t height, std::int32_t width,
                    const PixelLayout& layout, std::string name) {
  if (height < 1 || width < 1 || height > image::kMaxSide || width > image::kMaxSide) {
    fail(ErrorCode::kInvalidArgument, "[image] {}: expected sides from 1 to {}, found {} x {} (height x width)", name,
         image::kMaxSide, height, width);
  }
  const std::size_t row = static_cast<std::size_t>(width) * static_cast<std::size_t>(channels_of(layout.order));
  const std::size_t stride = layout.row_stride == 0 ? row : layout.row_stride;
  if (stride < row) {
    fail(ErrorCode::kInvalidArgument, "[image] {}: expected a row stride of at least {} bytes, found {}", name, row,
         stride);
  }
  const auto gaps = static_cast<std::size_t>(height - 1);
  if (bytes.size() < row || (gaps > 0 && (bytes.size() - row) / gaps < stride)) {
    fail(ErrorCode::kInvalidArgument,
         "[image] {}: expected {} rows of {} bytes, each {} behind the last, found {} bytes", name, height, row, stride,
         bytes.size());
  }
  Image image(Kind::kPixels, std::move(name));
  image.bytes_ = std::as_bytes(bytes);
  image.height_ = height;
  image.width_ = width;
  image.layout_ = {layout.order, stride};
  return image;
}

Image Image::pixels(std::span<const std::uint8_t> rgb, std::int32_t height, std::int32_t width, std::string name) {
  const bool in_range = height >= 1 && width >= 1 && height <= image::kMaxSide && width <= image::kMaxSide;
  if (!in_range || rgb.size() != static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3) {
    fail(ErrorCode::kInvalidArgument,
         "[image] {}: expected height x width x 3 = {} x {} x 3 bytes, sides from 1 to {}, found {} bytes", name,
         height, width, image::kMaxSide, rgb.size());
  }
  return pixels(rgb, height, width, PixelLayout{}, std::move(name));
}

namespace inference {
namespace {

/// Where red, green and blue are in a pixel.
struct Channels {
  std::size_t red, green, blue;
};

Channels channels_in(ChannelOrder order) {
  switch (order) {
    case ChannelOrder::kBgr:
    case ChannelOrder::kBgra: return {2, 1, 0};
    case ChannelOrder::kGrey: return {0, 0, 0};
    default: return {0, 1, 2};
  }
}

image::Image rgb_of(const Image& pixels) {
  const auto height = static_cast<std::size_t>(pixels.height());
  const auto width = static_cast<std::size_t>(pixels.width());
  const auto step = static_cast<std::size_t>(channels_of(pixels.layout().order));
  const Channels at = channels_in(pixels.layout().order);
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(pixels.bytes().data());
  image::Image result{pixels.width(), pixels.height(), std::vector<std::uint8_t>(height * width * 3)};
  std::uint8_t* to = result.pixels.data();
  for (std::size_t y = 0; y < height; ++y) {
    const std::uint8_t* from = bytes + y * pixels.layout().row_stride;
    for (std::size_t x = 0; x < width; ++x, from += step, to += 3) {
      to[0] = from[at.red];
      to[1] = from[at.green];
      to[2] = from[at.blue];
    }
  }
  return result;
}

}  // namespace

image::Image decode(const Image& image, const image::DecodeOptions& options) {
  switch (image.kind()) {
    case Image::Kind::kFile: return image::read_image(image.name(), options);
    case Image::Kind::kEncoded: return image::decode(image.bytes(), image.name(), options);
    case Image::Kind::kPixels: break;
  }
  return rgb_of(image);
}

}  // namespace inference
}  // namespace gcvit
