// SPDX-License-Identifier: Apache-2.0
#include "image/encode.h"

#include <cstdlib>
#include <memory>

#include <spng.h>
#include <webp/encode.h>

#include "base/error.h"

namespace gcvit::image {

std::string encode_png(const Image& image) {
  check(image);
  const std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> context(spng_ctx_new(SPNG_CTX_ENCODER), &spng_ctx_free);
  if (!context) fail("[png] expected memory for an encoder, found none");
  const auto must = [](int code) {
    if (code != 0) fail("[png] can't encode a picture: {}", spng_strerror(code));
  };
  must(spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1));
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(image.width);
  header.height = static_cast<std::uint32_t>(image.height);
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  must(spng_set_ihdr(context.get(), &header));
  must(spng_encode_image(context.get(), image.pixels.data(), image.pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE));
  std::size_t size = 0;
  int error = 0;
  const std::unique_ptr<void, decltype(&std::free)> bytes(spng_get_png_buffer(context.get(), &size, &error),
                                                          &std::free);
  must(error);
  return {static_cast<const char*>(bytes.get()), size};
}

std::string encode_webp(const Image& image, float quality) {
  check(image);
  std::uint8_t* bytes = nullptr;
  const std::size_t size =
      WebPEncodeRGB(image.pixels.data(), image.width, image.height, 3 * image.width, quality, &bytes);
  const std::unique_ptr<std::uint8_t, decltype(&WebPFree)> owner(bytes, &WebPFree);
  if (size == 0) fail("[webp] can't encode a picture of {} x {}", image.width, image.height);
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace gcvit::image
