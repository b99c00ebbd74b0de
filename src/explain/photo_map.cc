// SPDX-License-Identifier: Apache-2.0
#include "explain/photo_map.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/error.h"

namespace gcvit::explain {
namespace {

/// Two cells of an axis and the share of the second.
struct Between {
  std::size_t first = 0;
  std::size_t second = 0;
  float share = 0;
};

/// Of a pixel `place` along an axis, 0 to 1 from the input's one edge to the other, among `cells` cells.
Between cells_at(double place, std::int32_t cells) {
  const double centre = std::clamp(place * cells - 0.5, 0.0, static_cast<double>(cells - 1));
  const auto first = static_cast<std::size_t>(centre);
  return {first, std::min(first + 1, static_cast<std::size_t>(cells) - 1),
          static_cast<float>(centre - static_cast<double>(first))};
}

double share_of(std::int32_t pixel, double begin, double length) { return (pixel + 0.5 - begin) / length; }

bool is_inside(double share) { return share >= 0 && share < 1; }

}  // namespace

PhotoMap::PhotoMap(const Explanation& explanation, const image::Area& seen, std::int32_t height, std::int32_t width)
    : map_(explanation.map), seen_(seen), height_(height), width_(width) {
  const std::size_t cells =
      static_cast<std::size_t>(std::max(map_.height, 0)) * static_cast<std::size_t>(std::max(map_.width, 0));
  if (cells == 0 || map_.values.size() != cells) {
    fail(ErrorCode::kInvalidArgument, "[explain] map: expected {} x {} values, found {}", map_.height, map_.width,
         map_.values.size());
  }
  scale_ = explanation.empty || explanation.highest <= 0 ? 0.0f : 1.0f / explanation.highest;
}

bool PhotoMap::sees_row(std::int32_t y) const { return is_inside(share_of(y, seen_.top, seen_.height)); }
bool PhotoMap::sees_column(std::int32_t x) const { return is_inside(share_of(x, seen_.left, seen_.width)); }

void PhotoMap::row(std::int32_t y, std::span<float> out) const {
  if (!sees_row(y) || scale_ == 0) {
    std::ranges::fill(out, 0.0f);
    return;
  }
  const Between rows = cells_at(share_of(y, seen_.top, seen_.height), map_.height);
  const auto value = [&](std::size_t row, std::size_t column) {
    return std::max(map_.values[row * static_cast<std::size_t>(map_.width) + column], 0.0f);
  };
  for (std::int32_t x = 0; x < width_; ++x) {
    float& to = out[static_cast<std::size_t>(x)];
    const double share = share_of(x, seen_.left, seen_.width);
    if (!is_inside(share)) {
      to = 0;
      continue;
    }
    const Between columns = cells_at(share, map_.width);
    const float above = std::lerp(value(rows.first, columns.first), value(rows.first, columns.second), columns.share);
    const float below = std::lerp(value(rows.second, columns.first), value(rows.second, columns.second), columns.share);
    to = std::clamp(scale_ * std::lerp(above, below, rows.share), 0.0f, 1.0f);
  }
}

}  // namespace gcvit::explain
