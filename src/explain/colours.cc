// SPDX-License-Identifier: Apache-2.0
// Colours between nine points of OKLab (B. Ottosson, "A perceptual color space for image processing", 2020), whose lightness rises
// evenly: people who see few colours still see the order, and so does a black-and-white print.
#include "explain/colours.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace gcvit::explain {
namespace {

using Triple = std::array<double, 3>;
using Points = std::array<Triple, 9>;

/// L, a, b.
constexpr Points kViridis = {{{0.29, 0.10, -0.09},
                              {0.37, 0.06, -0.12},
                              {0.45, -0.01, -0.10},
                              {0.52, -0.06, -0.06},
                              {0.59, -0.09, -0.02},
                              {0.67, -0.13, 0.03},
                              {0.75, -0.14, 0.10},
                              {0.83, -0.11, 0.16},
                              {0.92, -0.04, 0.19}}};
constexpr Points kInferno = {{{0.07, 0.00, -0.02},
                              {0.24, 0.04, -0.10},
                              {0.35, 0.11, -0.11},
                              {0.44, 0.15, -0.05},
                              {0.54, 0.17, 0.03},
                              {0.64, 0.15, 0.11},
                              {0.74, 0.09, 0.15},
                              {0.86, -0.01, 0.17},
                              {0.98, -0.06, 0.11}}};

Triple between(const Points& points, double share) {
  const double place = share * static_cast<double>(points.size() - 1);
  const std::size_t first = std::min(static_cast<std::size_t>(place), points.size() - 2);
  const double part = place - static_cast<double>(first);
  Triple lab{};
  for (std::size_t i = 0; i < 3; ++i) lab[i] = points[first][i] + part * (points[first + 1][i] - points[first][i]);
  return lab;
}

/// sRGB's byte of a linear value, clipped.
std::uint8_t encoded(double linear) {
  const double value = std::clamp(linear, 0.0, 1.0);
  const double coded = value <= 0.0031308 ? 12.92 * value : 1.055 * std::pow(value, 1 / 2.4) - 0.055;
  return static_cast<std::uint8_t>(std::lround(255 * coded));
}

image::Colour colour_of(const Triple& lab) {
  const auto [lightness, a, b] = lab;
  const double l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  const double m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  const double s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  return {encoded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          encoded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          encoded(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

}  // namespace

std::array<image::Colour, 256> colours_of(ColourMap map) {
  const Points& points = map == ColourMap::kViridis ? kViridis : kInferno;
  std::array<image::Colour, 256> colours{};
  for (std::size_t i = 0; i < colours.size(); ++i) {
    colours[i] = colour_of(between(points, static_cast<double>(i) / 255));
  }
  return colours;
}

}  // namespace gcvit::explain
