// SPDX-License-Identifier: Apache-2.0
// What Pillow's ImageOps, ImageEnhance and Image.transform do to an 8-bit RGB picture, in place.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace gcvit::data {

/// height x width x 3 bytes, a view.
struct Pixels {
  std::span<std::uint8_t> bytes;
  std::int32_t height = 0;
  std::int32_t width = 0;
};

/// Stretches each channel to 0..255 (ImageOps.autocontrast).
void auto_contrast(const Pixels& pixels);
/// Makes each channel's histogram even (ImageOps.equalize).
void equalize(const Pixels& pixels);
/// 255 - v.
void invert(const Pixels& pixels);
/// Keeps the upper `bits` bits, 0 to 8 (ImageOps.posterize).
void posterize(const Pixels& pixels, int bits);
/// Inverts values of at least `threshold`, 0 to 256 (ImageOps.solarize).
void solarize(const Pixels& pixels, int threshold);
/// Adds `amount` to values below 128, up to 255.
void solarize_add(const Pixels& pixels, int amount);
/// Away from grey by `factor`: 0 is grey, 1 changes nothing (ImageEnhance.Color).
void change_color(const Pixels& pixels, double factor);
/// Away from the mean grey (ImageEnhance.Contrast).
void change_contrast(const Pixels& pixels, double factor);
/// Away from black (ImageEnhance.Brightness).
void change_brightness(const Pixels& pixels, double factor);
/// Away from a blurred copy (ImageEnhance.Sharpness). `copy` is memory to work in.
void change_sharpness(const Pixels& pixels, double factor, std::vector<std::uint8_t>& copy);

/// Output (x, y) comes from input (m0 x + m1 y + m2, m3 x + m4 y + m5), coordinates of pixels' corners, bilinear; what
/// lies outside is `fill` (Image.transform with AFFINE and BILINEAR).
using AffineMap = std::array<double, 6>;
void affine_transform(const Pixels& pixels, const AffineMap& map, const std::array<std::uint8_t, 3>& fill,
                      std::vector<std::uint8_t>& copy);
/// The map that turns a height x width picture by `degrees` against the clock about its centre (Image.rotate).
AffineMap rotation(double degrees, std::int32_t height, std::int32_t width);

/// Left becomes right.
void mirror(const Pixels& pixels);

}  // namespace gcvit::data
