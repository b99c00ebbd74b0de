// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "ops/backend.h"

namespace gcvit::native {

/// Addresses of a map's windows.
struct WindowGrid {
  WindowGrid(const ops::Shape& map, ops::Window window_size)
      : shape(map),
        window(window_size),
        columns(map.width / window_size.width),
        per_image(columns * (map.height / window_size.height)) {}

  /// The first float of token `token` of window `index` (counted over all images) in a map of `channels` channels.
  std::int64_t offset(std::int64_t index, std::int32_t token, std::int64_t channels) const {
    const std::int64_t image = index / per_image;
    const std::int64_t within = index % per_image;
    const std::int64_t y = within / columns * window.height + token / window.width;
    const std::int64_t x = within % columns * window.width + token % window.width;
    return (image * shape.positions() + y * shape.width + x) * channels;
  }

  ops::Shape shape;
  ops::Window window;
  std::int64_t columns;
  std::int64_t per_image;
};

}  // namespace gcvit::native
