// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>

#include "gcvit/image.h"

namespace gcvit::python {

/// Holds what an object shows by the buffer protocol.
class Buffer {
 public:
  /// Contiguous bytes; throws what the object raises.
  explicit Buffer(nanobind::handle object);
  ~Buffer() { PyBuffer_Release(&view_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

/// Rows of pixels, eight bits a channel, top first.
struct Pixels {
  std::vector<std::uint8_t> bytes;
  std::int32_t height = 0;
  std::int32_t width = 0;
  ChannelOrder order = ChannelOrder::kRgb;
};

/// An image, with what its view needs: made and ended with the GIL.
class HeldImage {
 public:
  explicit HeldImage(Image image) : image_(std::move(image)) {}
  HeldImage(nanobind::object keep, std::unique_ptr<Buffer> buffer, Image image)
      : keep_(std::move(keep)), buffer_(std::move(buffer)), image_(std::move(image)) {}
  HeldImage(Pixels pixels, const std::string& name);

  const Image& image() const { return image_; }

 private:
  nanobind::object keep_;
  std::unique_ptr<Buffer> buffer_;
  Pixels pixels_;
  Image image_;
};

/// An array of one image, by DLPack or the buffer protocol: [H, W, C], [C, H, W] or [H, W] with 1, 3 or 4 channels, uint8, uint16, or floats of
/// 16, 32 or 64 bits from 0 to 1; or [N] of uint8, the bytes of a file. It is copied. Throws `Error`.
HeldImage image_of_array(nanobind::handle array, const std::string& name);

void bind_image(nanobind::module_& module);

}  // namespace gcvit::python
