// SPDX-License-Identifier: Apache-2.0
#include "data/rand_augment.h"

#include <algorithm>
#include <string_view>

namespace gcvit::data {

std::string_view to_string(PixelOperation operation) {
  constexpr std::array<std::string_view, kPixelOperations> kNames = {
      "auto_contrast", "equalize",   "invert",    "rotate",  "posterize", "solarize",    "solarize_add", "color",
      "contrast",      "brightness", "sharpness", "shear_x", "shear_y",   "translate_x", "translate_y"};
  return kNames[static_cast<std::size_t>(operation)];
}

void apply_operation(PixelOperation operation, double magnitude, bool backwards, const Pixels& pixels,
                     const std::array<std::uint8_t, 3>& fill, std::vector<std::uint8_t>& copy) {
  const double strength = magnitude / 10.0;
  const double signed_strength = backwards ? -strength : strength;
  const double factor = 1.0 + 0.9 * signed_strength;
  switch (operation) {
    case PixelOperation::kAutoContrast: return auto_contrast(pixels);
    case PixelOperation::kEqualize: return equalize(pixels);
    case PixelOperation::kInvert: return invert(pixels);
    case PixelOperation::kRotate:
      return affine_transform(pixels, rotation(30.0 * signed_strength, pixels.height, pixels.width), fill, copy);
    case PixelOperation::kPosterize: return posterize(pixels, 4 - static_cast<int>(4.0 * strength));
    case PixelOperation::kSolarize: return solarize(pixels, 256 - std::min(256, static_cast<int>(256.0 * strength)));
    case PixelOperation::kSolarizeAdd: return solarize_add(pixels, std::min(128, static_cast<int>(110.0 * strength)));
    case PixelOperation::kColor: return change_color(pixels, factor);
    case PixelOperation::kContrast: return change_contrast(pixels, factor);
    case PixelOperation::kBrightness: return change_brightness(pixels, factor);
    case PixelOperation::kSharpness: return change_sharpness(pixels, factor, copy);
    case PixelOperation::kShearX:
      return affine_transform(pixels, {1.0, 0.3 * signed_strength, 0.0, 0.0, 1.0, 0.0}, fill, copy);
    case PixelOperation::kShearY:
      return affine_transform(pixels, {1.0, 0.0, 0.0, 0.3 * signed_strength, 1.0, 0.0}, fill, copy);
    case PixelOperation::kTranslateX:
      return affine_transform(pixels, {1.0, 0.0, 0.45 * signed_strength * pixels.width, 0.0, 1.0, 0.0}, fill, copy);
    case PixelOperation::kTranslateY:
      return affine_transform(pixels, {1.0, 0.0, 0.0, 0.0, 1.0, 0.45 * signed_strength * pixels.height}, fill, copy);
  }
}

void rand_augment(const Pixels& pixels, int layers, double magnitude, const std::array<std::uint8_t, 3>& fill,
                  Random& random, std::vector<std::uint8_t>& copy) {
  constexpr double kDeviation = 0.5;
  for (int layer = 0; layer < layers; ++layer) {
    const auto operation = static_cast<PixelOperation>(random.below(kPixelOperations));
    const bool applied = random.uniform() < 0.5f;
    const double strength = std::clamp(magnitude + kDeviation * static_cast<double>(random.normal()), 0.0, 10.0);
    const bool backwards = random.uniform() < 0.5f;
    if (applied) apply_operation(operation, strength, backwards, pixels, fill, copy);
  }
}

}  // namespace gcvit::data
