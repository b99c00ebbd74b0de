// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/pixel_ops.h"
#include "data/rand_augment.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

/// timm's and torchvision's: random crops are tried this often before the centre is taken.
constexpr int kCropTries = 10;
constexpr int kErasingTries = 10;
/// The erased rectangle's share of the picture, and its ratio: timm's.
constexpr std::array<double, 2> kErasedShare = {0.02, 1.0 / 3.0};
constexpr std::array<double, 2> kErasedRatio = {0.3, 1.0 / 0.3};

double draw_between(const std::array<double, 2>& range, Random& random) {
  return range[0] + (range[1] - range[0]) * static_cast<double>(random.uniform());
}

/// Log-uniform: a ratio and its inverse are equally likely.
double draw_ratio(const std::array<double, 2>& range, Random& random) {
  return std::exp(draw_between({std::log(range[0]), std::log(range[1])}, random));
}

/// 0 to `largest`, both included.
std::int32_t draw_offset(std::int32_t largest, Random& random) {
  return static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(largest) + 1));
}

bool crops(const AugmentConfig& config) {
  return config.kind != Augment::kNone && !(config.rrc_scale[0] == 1.0 && config.rrc_scale[1] == 1.0);
}

}  // namespace

image::Window draw_crop(std::int32_t height, std::int32_t width, const std::array<double, 2>& scale,
                        const std::array<double, 2>& ratio, Random& random) {
  const double area = static_cast<double>(height) * width;
  for (int attempt = 0; attempt < kCropTries; ++attempt) {
    const double target_area = area * draw_between(scale, random);
    const double aspect = draw_ratio(ratio, random);
    const double crop_width = std::nearbyint(std::sqrt(target_area * aspect));
    const double crop_height = std::nearbyint(std::sqrt(target_area / aspect));
    if (crop_width < 1.0 || crop_height < 1.0 || crop_width > width || crop_height > height) continue;
    const auto rows = static_cast<std::int32_t>(crop_height);
    const auto columns = static_cast<std::int32_t>(crop_width);
    const std::int32_t top = draw_offset(height - rows, random);
    return {top, draw_offset(width - columns, random), rows, columns};
  }
  // The largest part in the middle whose ratio is allowed.
  std::int32_t rows = height;
  std::int32_t columns = width;
  const double found = static_cast<double>(width) / height;
  if (found < ratio[0]) {
    rows = std::clamp(static_cast<std::int32_t>(std::nearbyint(width / ratio[0])), 1, height);
  } else if (found > ratio[1]) {
    columns = std::clamp(static_cast<std::int32_t>(std::nearbyint(height * ratio[1])), 1, width);
  }
  return {(height - rows) / 2, (width - columns) / 2, rows, columns};
}

int reduction_for(const image::Window& crop, std::int32_t height, std::int32_t width) {
  for (const int reduction : {8, 4, 2}) {
    if (crop.height >= kReductionMargin * reduction * height && crop.width >= kReductionMargin * reduction * width) {
      return reduction;
    }
  }
  return 1;
}

void erase(std::span<float> view, std::int32_t height, std::int32_t width, Random& random) {
  const double area = static_cast<double>(height) * width;
  for (int attempt = 0; attempt < kErasingTries; ++attempt) {
    const double erased_area = area * draw_between(kErasedShare, random);
    const double aspect = draw_ratio(kErasedRatio, random);
    const auto rows = static_cast<std::int32_t>(std::nearbyint(std::sqrt(erased_area * aspect)));
    const auto columns = static_cast<std::int32_t>(std::nearbyint(std::sqrt(erased_area / aspect)));
    if (rows >= height || columns >= width) continue;
    const std::int32_t top = draw_offset(height - rows, random);
    const std::int32_t left = draw_offset(width - columns, random);
    for (std::int32_t y = top; y < top + rows; ++y) {
      float* value =
          view.data() +
          (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(left)) * 3;
      for (std::int32_t i = 0; i < columns * 3; ++i) *value++ = random.normal();
    }
    return;
  }
}

namespace {

/// Leaves nothing but `crop` of a photo, in the memory that it has.
void keep(const image::Window& crop, image::Image& image) {
  const auto row_bytes = static_cast<std::ptrdiff_t>(crop.width) * 3;
  const auto stride = static_cast<std::ptrdiff_t>(image.width) * 3;
  auto from = image.pixels.cbegin() + crop.top * stride + static_cast<std::ptrdiff_t>(crop.left) * 3;
  auto to = image.pixels.begin();
  // A row never moves back, so what it is copied over has been copied already.
  for (std::int32_t y = 0; y < crop.height; ++y, from += stride, to += row_bytes) std::copy(from, from + row_bytes, to);
  image.height = crop.height;
  image.width = crop.width;
  image.pixels.resize(static_cast<std::size_t>(crop.height * row_bytes));
}

/// A photo's part that a random crop sees, at the target's size in `scratch.pixels`.
void draw_cropped(std::span<const std::byte> bytes, std::string_view name, const AugmentConfig& config, Random& random,
                  ViewScratch& scratch) {
  // The crop depends only on the image's size, so that a JPEG can be decoded at a size that suits it.
  image::Window crop;
  std::int32_t height = 0;
  std::int32_t width = 0;
  const auto choose = [&](std::int32_t full_height, std::int32_t full_width) {
    height = full_height;
    width = full_width;
    crop = draw_crop(height, width, config.rrc_scale, config.rrc_ratio, random);
    return config.reduced_decoding ? reduction_for(crop, config.target.height, config.target.width) : 1;
  };
  image::Image image = image::decode_reduced(bytes, name, config.decode, choose);
  if (image.height != height || image.width != width) {
    // The crop in the reduced picture, to the nearest of its pixels.
    const auto scaled = [](std::int32_t at, std::int32_t full, std::int32_t reduced) {
      return static_cast<std::int32_t>(std::lround(static_cast<double>(at) * reduced / full));
    };
    const std::int32_t bottom = scaled(crop.top + crop.height, height, image.height);
    const std::int32_t right = scaled(crop.left + crop.width, width, image.width);
    crop.top = scaled(crop.top, height, image.height);
    crop.left = scaled(crop.left, width, image.width);
    crop.height = bottom - crop.top;
    crop.width = right - crop.left;
  }
  keep(crop, image);
  image::resize_antialiased(image, config.target.height, config.target.width, image::Filter::kBicubic,
                            {0, 0, config.target.height, config.target.width}, scratch.pixels,
                            scratch.preprocess.resize);
}

void mirror_view(std::span<float> view, std::int32_t height, std::int32_t width) {
  const std::size_t stride = static_cast<std::size_t>(width) * 3;
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    float* left = view.data() + y * stride;
    for (float* right = left + stride - 3; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

void jitter(const Pixels& pixels, double strength, Random& random) {
  const std::array<double, 2> range = {1.0 - strength, 1.0 + strength};
  change_brightness(pixels, draw_between(range, random));
  change_contrast(pixels, draw_between(range, random));
  change_color(pixels, draw_between(range, random));
}

/// The mean colour, which fills pixels from outside a rotated or shifted image.
std::array<std::uint8_t, 3> fill_of(const image::PreprocessConfig& config) {
  std::array<std::uint8_t, 3> fill;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    fill[channel] = static_cast<std::uint8_t>(std::clamp(std::lround(255.0f * config.mean[channel]), 0l, 255l));
  }
  return fill;
}

}  // namespace

std::size_t view_size(const AugmentConfig& config) {
  return static_cast<std::size_t>(config.target.height) * static_cast<std::size_t>(config.target.width) * 3;
}

void check(const AugmentConfig& config) {
  image::check(config.target);
  const auto expect = [](bool holds, std::string_view what, std::string_view expected, double found) {
    if (!holds) fail("[data] {}: expected {}, found {}", what, expected, found);
  };
  const auto is_chance = [](double value) { return value >= 0.0 && value <= 1.0; };
  const auto [smallest, largest] = config.rrc_scale;
  expect(smallest > 0.0 && smallest <= 1.0, "rrc_scale", "shares above 0 and up to 1", smallest);
  expect(largest >= smallest && largest <= 1.0, "rrc_scale", "a largest share from the smallest up to 1", largest);
  const auto [narrowest, widest] = config.rrc_ratio;
  expect(narrowest > 0.0 && narrowest <= 1.0, "rrc_ratio", "a narrowest ratio above 0 and up to 1", narrowest);
  expect(widest >= 1.0 && std::isfinite(widest), "rrc_ratio", "a widest ratio of at least 1", widest);
  expect(is_chance(config.flip), "flip", "a chance from 0 to 1", config.flip);
  expect(is_chance(config.random_erasing), "random_erasing", "a chance from 0 to 1", config.random_erasing);
  expect(is_chance(config.color_jitter), "color_jitter", "a strength from 0 to 1", config.color_jitter);
  expect(config.randaug_layers >= 0 && config.randaug_layers <= 16, "randaug_layers", "0 to 16 operations",
         config.randaug_layers);
  expect(config.randaug_magnitude >= 0.0 && config.randaug_magnitude <= 10.0, "randaug_magnitude",
         "a strength from 0 to 10", config.randaug_magnitude);
}

std::string describe(const AugmentConfig& config) {
  if (config.kind == Augment::kNone) return image::describe(config.target);
  std::string chain = crops(config)
                          ? fmt::format("random crop of {:.4g} to {:.4g} of the area, ratio {:.3g} to {:.3g}, to {}x{}",
                                        config.rrc_scale[0], config.rrc_scale[1], config.rrc_ratio[0],
                                        config.rrc_ratio[1], config.target.height, config.target.width)
                          : image::describe(config.target);
  if (config.flip > 0.0) chain += fmt::format(", flip {:.3g}", config.flip);
  if (config.kind == Augment::kRandAugment) {
    chain += fmt::format(", RandAugment {} x {:.3g}", config.randaug_layers, config.randaug_magnitude);
  } else if (config.color_jitter > 0.0) {
    chain += fmt::format(", colour jitter {:.3g}", config.color_jitter);
  }
  if (config.random_erasing > 0.0) chain += fmt::format(", random erasing {:.3g}", config.random_erasing);
  return chain;
}

void make_view(std::span<const std::byte> bytes, std::string_view name, const AugmentConfig& config, Random random,
               std::span<float> view, ViewScratch& scratch) {
  const auto [height, width] = std::pair(config.target.height, config.target.width);
  if (config.kind == Augment::kNone) {
    return image::preprocess(image::decode(bytes, name, config.decode), config.target, view, scratch.preprocess);
  }
  scratch.pixels.resize(view_size(config));
  const Pixels pixels{scratch.pixels, height, width};
  const bool changes_pixels = config.kind == Augment::kRandAugment || config.color_jitter > 0.0;
  const bool on_bytes = crops(config) || changes_pixels;
  if (crops(config)) {
    draw_cropped(bytes, name, config, random, scratch);
  } else if (on_bytes) {
    image::fit(image::decode(bytes, name, config.decode), config.target, scratch.pixels, scratch.preprocess);
  } else {
    image::preprocess(image::decode(bytes, name, config.decode), config.target, view, scratch.preprocess);
  }
  const bool flipped = static_cast<double>(random.uniform()) < config.flip;
  if (flipped) on_bytes ? mirror(pixels) : mirror_view(view, height, width);
  if (config.kind == Augment::kRandAugment) {
    rand_augment(pixels, config.randaug_layers, config.randaug_magnitude, fill_of(config.target), random, scratch.copy);
  } else if (config.color_jitter > 0.0) {
    jitter(pixels, config.color_jitter, random);
  }
  if (on_bytes) image::normalise(scratch.pixels, config.target, view);
  if (static_cast<double>(random.uniform()) < config.random_erasing) erase(view, height, width, random);
}

}  // namespace gcvit::data
