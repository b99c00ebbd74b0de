// SPDX-License-Identifier: Apache-2.0
#include "model/image_size.h"

#include <algorithm>

#include "base/error.h"

namespace gcvit::model {
namespace {

/// Image sides must be multiples of this, so that every stride and every halving of a query meets an even map.
std::int32_t image_step(const GCViTConfig& config) {
  std::int32_t step = kImageStep;
  for (int level = 0; level < kLevels; ++level) step = std::max(step, 4 << (level + config.query_reductions(level)));
  return step;
}

/// "224 or 256 for the height", or nothing where the side fits.
std::string nearest(std::int32_t side, std::int32_t step, std::string_view name) {
  const std::int32_t largest = kLargestImage / step * step;
  const std::int32_t below = std::clamp(side / step * step, step, largest);
  if (below == side) return "";
  const std::int32_t above = std::min(below + step, largest);
  return side < step || below == above ? fmt::format("{} for the {}", below, name)
                                       : fmt::format("{} or {} for the {}", below, above, name);
}

}  // namespace

GCViTConfig with_image_size(const GCViTConfig& config, ImageSize size, WindowMode mode) {
  if (size == config.image_size()) return config;
  const std::int32_t step = image_step(config);
  const std::string height = nearest(size.height, step, "height");
  const std::string width = nearest(size.width, step, "width");
  if (!height.empty() || !width.empty()) {
    fail("[config] image size {}x{}: expected sides that are multiples of {}: the nearest are {}{}{}", size.height,
         size.width, step, height, height.empty() || width.empty() ? "" : ", ", width);
  }
  GCViTConfig result = config;
  result.image_height = size.height;
  result.image_width = size.width;
  result.native_image.reset();
  if (mode == WindowMode::kExact) {
    for (int level = 0; level < kLevels; ++level) {
      const std::int32_t reductions = config.query_reductions(level);
      const ops::Window map = result.map(level);
      result.windows[static_cast<std::size_t>(level)] = {map.height >> reductions, map.width >> reductions};
    }
  } else if (size != config.native_image_size()) {
    result.native_image = config.native_image_size();
  }
  return result;
}

}  // namespace gcvit::model
