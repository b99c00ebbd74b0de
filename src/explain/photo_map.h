// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "gcvit/explain.h"
#include "image/preprocess.h"

namespace gcvit::explain {

/// A map over a model's input, put back on a photo of any size through the inverse of resizing and cropping, row by row: a large photo's
/// is never held whole. Values are shares of the map's largest, 0 to 1; negative ones, and all of an empty map, are 0.
class PhotoMap {
 public:
  /// `seen`: what the input shows of the photo, in pixels of a photo of `height` x `width`. The explanation must outlive this. Throws
  /// `Error` unless its map has height x width values.
  PhotoMap(const Explanation& explanation, const image::Area& seen, std::int32_t height, std::int32_t width);

  std::int32_t height() const { return height_; }
  std::int32_t width() const { return width_; }
  /// Whether the model's input shows this row or column at its centre.
  bool sees_row(std::int32_t y) const;
  bool sees_column(std::int32_t x) const;
  /// The values of row `y` into `out` of `width` floats: at each pixel's centre, bilinear between the centres of the map's cells; 0 for
  /// pixels that the input doesn't show.
  void row(std::int32_t y, std::span<float> out) const;

 private:
  const HeatMap& map_;
  image::Area seen_;
  std::int32_t height_;
  std::int32_t width_;
  float scale_;  ///< from the map's values to shares; 0 for an empty map
};

}  // namespace gcvit::explain
