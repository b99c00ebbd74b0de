// SPDX-License-Identifier: Apache-2.0
#include "gcvit/image.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "capi/guard.h"
#include "capi/handles.h"

namespace gcvit::capi {
namespace {

static_assert(same(GCVIT_RGB, ChannelOrder::kRgb) && same(GCVIT_BGR, ChannelOrder::kBgr) &&
              same(GCVIT_RGBA, ChannelOrder::kRgba) && same(GCVIT_BGRA, ChannelOrder::kBgra) &&
              same(GCVIT_GREY, ChannelOrder::kGrey));

constexpr const char* kDefaultName = "image";

/// Sets the handle to the image that `make()` gives.
template <typename Make>
gcvit_status make_image(gcvit_image** out, const Make& make) {
  if (out != nullptr) *out = nullptr;
  return guarded([&] {
    expect_pointer(out, "image");
    *out = new gcvit_image{make()};
  });
}

}  // namespace

const Image& image_of(const gcvit_image* image) {
  expect_pointer(image, "image");
  return image->image;
}

}  // namespace gcvit::capi

using namespace gcvit::capi;

extern "C" {

gcvit_status gcvit_image_file(const char* path, gcvit_image** image) {
  return make_image(image, [&] {
    expect_pointer(path, "path");
    return gcvit::Image::file(path);
  });
}

gcvit_status gcvit_image_encoded(const void* bytes, size_t size, const char* name, gcvit_image** image) {
  return make_image(image, [&] {
    expect_pointer(bytes, "bytes");
    return gcvit::Image::encoded(std::span(static_cast<const std::byte*>(bytes), size),
                                 name != nullptr ? name : kDefaultName);
  });
}

gcvit_status gcvit_image_pixels(const uint8_t* pixels, size_t size, int32_t height, int32_t width, int32_t order,
                                size_t row_stride, const char* name, gcvit_image** image) {
  return make_image(image, [&] {
    expect_pointer(pixels, "pixels");
    const gcvit::PixelLayout layout{checked<gcvit::ChannelOrder>(order, 5, "order"), row_stride};
    return gcvit::Image::pixels(std::span(pixels, size), height, width, layout, name != nullptr ? name : kDefaultName);
  });
}

void gcvit_image_free(gcvit_image* image) { delete image; }

}  // extern "C"
