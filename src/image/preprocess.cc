// SPDX-License-Identifier: Apache-2.0
#include "image/preprocess.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace gcvit::image {
namespace {

constexpr std::array<std::pair<Preset, std::string_view>, 4> kNames = {{{Preset::kTimm, "timm"},
                                                                        {Preset::kNvlabs, "nvlabs"},
                                                                        {Preset::kKeras, "keras"},
                                                                        {Preset::kKerasTrain, "keras-train"}}};

/// NVlabs' registry of models; the rest of its variants, and its own default, have 0.875.
constexpr std::array<std::string_view, 4> kUncroppedNvlabs = {"xxtiny", "tiny", "base", "large"};

bool resizes_like_pillow(Preset preset) { return preset == Preset::kTimm || preset == Preset::kNvlabs; }

/// The sides of the resized picture, before the crop. A picture one pixel high can become very wide, so 64 bits.
struct Size {
  std::int64_t height;
  std::int64_t width;
};

std::int32_t scaled_target(std::int32_t target, double crop_pct) {
  return static_cast<std::int32_t>(std::floor(target / crop_pct));
}

Size resized_size(std::int32_t height, std::int32_t width, const PreprocessConfig& config) {
  const std::int32_t target_height = scaled_target(config.height, config.crop_pct);
  const std::int32_t target_width = scaled_target(config.width, config.crop_pct);
  if (config.squash) return {target_height, target_width};
  if (target_height == target_width) {
    // torchvision's Resize: the shorter side is exact, the longer one is cut off.
    const double shorter = std::min(height, width);
    const double longer = std::max(height, width);
    const auto scaled = static_cast<std::int64_t>(static_cast<double>(target_height) * longer / shorter);
    return width <= height ? Size{scaled, target_width} : Size{target_height, scaled};
  }
  // timm's ResizeKeepRatio: the side that is short of its target decides, both are rounded, half to even.
  const double ratio = std::min(static_cast<double>(height) / target_height, static_cast<double>(width) / target_width);
  return {std::llrint(height / ratio), std::llrint(width / ratio)};
}

/// Where a centre crop begins, rounded as Python does: half to even.
std::int32_t crop_offset(std::int32_t side, std::int32_t crop) {
  return static_cast<std::int32_t>(std::lrint((side - crop) / 2.0));
}

/// The float32 steps of ToTensor and Normalize, and of Keras' preprocess_input in its torch mode: /255, - mean, / std.
ByteValues normalised(const PreprocessConfig& config) {
  ByteValues values;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      values[channel][byte] = (static_cast<float>(byte) / 255.0f - config.mean[channel]) / config.std[channel];
    }
  }
  return values;
}

/// A size that resizing can have; throws `Error` for another.
Size checked_size(std::int32_t height, std::int32_t width, const PreprocessConfig& config) {
  const Size size = resized_size(height, width, config);
  if (std::max(size.height, size.width) > kMaxResizedSide) {
    fail("[preprocess] size: expected sides that differ less, found {} x {}", width, height);
  }
  return size;
}

void fit_like_pillow(const Image& image, const PreprocessConfig& config, std::span<std::uint8_t> out,
                     PreprocessScratch& scratch) {
  const Size size = checked_size(image.height, image.width, config);
  const auto height = static_cast<std::int32_t>(size.height);
  const auto width = static_cast<std::int32_t>(size.width);
  const Window window{crop_offset(height, config.height), crop_offset(width, config.width), config.height,
                      config.width};
  resize_antialiased(image, height, width, config.interpolation, window, out, scratch.resize);
}

/// Every byte as its number.
ByteValues plain_values() {
  ByteValues values;
  for (auto& channel : values) {
    for (std::size_t byte = 0; byte < 256; ++byte) channel[byte] = static_cast<float>(byte);
  }
  return values;
}

void preprocess_keras_train(const Image& image, const PreprocessConfig& config, std::span<float> out,
                            PreprocessScratch& scratch) {
  resize_tensorflow(image, plain_values(), config.height, config.width, Filter::kBicubic, out, scratch.resize);
  for (std::size_t i = 0; i < out.size(); i += 3) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      out[i + channel] = (out[i + channel] - 255.0f * config.mean[channel]) / (255.0f * config.std[channel]);
    }
  }
}

/// What every call must hold to; `size` is that of its output.
void check_call(const Image& image, const PreprocessConfig& config, std::size_t size) {
  check(config);
  check(image);
  const std::size_t expected = static_cast<std::size_t>(config.height) * static_cast<std::size_t>(config.width) * 3;
  if (size != expected) fail("[preprocess] output: expected {} numbers, found {}", expected, size);
}

std::string describe_numbers(const PreprocessConfig& config) {
  return fmt::format("mean {:.6g} {:.6g} {:.6g}, std {:.6g} {:.6g} {:.6g}", config.mean[0], config.mean[1],
                     config.mean[2], config.std[0], config.std[1], config.std[2]);
}

std::string describe_size(std::int64_t height, std::int64_t width) { return fmt::format("{}x{}", height, width); }

}  // namespace

std::string_view to_string(Preset preset) {
  return std::find_if(kNames.begin(), kNames.end(), [=](const auto& entry) { return entry.first == preset; })->second;
}

std::string_view to_string(Filter filter) { return filter == Filter::kBilinear ? "bilinear" : "bicubic"; }

std::optional<Preset> preset_named(std::string_view name) {
  for (const auto& [preset, known] : kNames) {
    if (known == name) return preset;
  }
  return std::nullopt;
}

PreprocessConfig make_preprocess_config(Preset preset, std::string_view variant, std::int32_t height,
                                        std::int32_t width) {
  PreprocessConfig config;
  config.preset = preset;
  config.height = height;
  config.width = width;
  if (preset == Preset::kNvlabs) {
    if (variant.starts_with("gcvit_")) variant.remove_prefix(6);
    const bool large_picture =
        variant.ends_with("_384") || variant.ends_with("_512") || (height == width && (height == 384 || height == 512));
    const bool uncropped =
        std::find(kUncroppedNvlabs.begin(), kUncroppedNvlabs.end(), variant) != kUncroppedNvlabs.end();
    config.squash = large_picture;
    config.crop_pct = large_picture || uncropped ? 1.0 : 0.875;
  }
  return config;
}

void check(const PreprocessConfig& config) {
  if (config.height < 1 || config.width < 1 || config.height > kMaxSide || config.width > kMaxSide) {
    fail("[preprocess] size: expected sides of 1 to {}, found {} x {} (height x width)", kMaxSide, config.height,
         config.width);
  }
  if (resizes_like_pillow(config.preset)) {
    if (!(config.crop_pct > 0.0 && config.crop_pct <= 1.0)) {
      fail("[preprocess] crop_pct: expected more than 0 and at most 1, found {}", config.crop_pct);
    }
    const std::int32_t longer = std::max(config.height, config.width);
    if (longer / config.crop_pct > kMaxSide) {
      fail("[preprocess] crop_pct: expected a resized side of at most {}, found {} / {}", kMaxSide, longer,
           config.crop_pct);
    }
  }
  for (std::size_t channel = 0; channel < 3; ++channel) {
    if (!std::isfinite(config.mean[channel])) {
      fail("[preprocess] mean: expected finite numbers, found {}", config.mean[channel]);
    }
    if (!std::isfinite(config.std[channel]) || config.std[channel] <= 0.0f) {
      fail("[preprocess] std: expected positive numbers, found {}", config.std[channel]);
    }
  }
}

std::string describe(const PreprocessConfig& config) {
  const std::string target = describe_size(config.height, config.width);
  std::string steps;
  if (config.preset == Preset::kKeras) {
    steps = fmt::format("{}, squash to {} (bilinear, no antialias)", describe_numbers(config), target);
  } else if (config.preset == Preset::kKerasTrain) {
    steps = fmt::format("squash to {} (bicubic, no antialias), {}", target, describe_numbers(config));
  } else {
    const std::int32_t height = scaled_target(config.height, config.crop_pct);
    const std::int32_t width = scaled_target(config.width, config.crop_pct);
    if (config.squash) {
      steps = fmt::format("squash to {}", describe_size(height, width));
    } else if (height == width) {
      steps = fmt::format("shorter side to {}", height);
    } else {
      steps = fmt::format("cover {}", describe_size(height, width));
    }
    steps += fmt::format(" ({}, antialiased), ", to_string(config.interpolation));
    if (!config.squash || height != config.height || width != config.width) {
      steps += fmt::format("centre crop {}, ", target);
    }
    steps += describe_numbers(config);
  }
  return fmt::format("{}: {}", to_string(config.preset), steps);
}

Area seen_area(std::int32_t height, std::int32_t width, const PreprocessConfig& config) {
  check(config);
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide) {
    fail(ErrorCode::kInvalidArgument, "[image] size: expected sides of 1 to {} pixels, found {} x {}", kMaxSide, width,
         height);
  }
  if (!resizes_like_pillow(config.preset)) {
    return {.height = static_cast<double>(height), .width = static_cast<double>(width)};
  }
  const Size size = checked_size(height, width, config);
  const double down = static_cast<double>(height) / static_cast<double>(size.height);
  const double across = static_cast<double>(width) / static_cast<double>(size.width);
  return {.top = down * crop_offset(static_cast<std::int32_t>(size.height), config.height),
          .left = across * crop_offset(static_cast<std::int32_t>(size.width), config.width),
          .height = down * config.height,
          .width = across * config.width};
}

void fit(const Image& image, const PreprocessConfig& config, std::span<std::uint8_t> out, PreprocessScratch& scratch) {
  check_call(image, config, out.size());
  if (resizes_like_pillow(config.preset)) return fit_like_pillow(image, config, out, scratch);
  const Filter filter = config.preset == Preset::kKeras ? Filter::kBilinear : Filter::kBicubic;
  scratch.values.resize(out.size());
  resize_tensorflow(image, plain_values(), config.height, config.width, filter, scratch.values, scratch.resize);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(std::clamp(std::lround(scratch.values[i]), 0l, 255l));
  }
}

void normalise(std::span<const std::uint8_t> pixels, const PreprocessConfig& config, std::span<float> out) {
  if (out.size() != pixels.size() || out.size() % 3 != 0) {
    fail("[preprocess] output: expected {} floats, found {}", pixels.size(), out.size());
  }
  const ByteValues values = normalised(config);
  for (std::size_t i = 0; i < out.size(); i += 3) {
    for (std::size_t channel = 0; channel < 3; ++channel) out[i + channel] = values[channel][pixels[i + channel]];
  }
}

void preprocess(const Image& image, const PreprocessConfig& config, std::span<float> out, PreprocessScratch& scratch) {
  check_call(image, config, out.size());
  switch (config.preset) {
    case Preset::kTimm:
    case Preset::kNvlabs:
      scratch.cropped.resize(out.size());
      fit_like_pillow(image, config, scratch.cropped, scratch);
      return normalise(scratch.cropped, config, out);
    case Preset::kKeras:
      return resize_tensorflow(image, normalised(config), config.height, config.width, Filter::kBilinear, out,
                               scratch.resize);
    case Preset::kKerasTrain: return preprocess_keras_train(image, config, out, scratch);
  }
}

void preprocess(const Image& image, const PreprocessConfig& config, std::span<float> out) {
  PreprocessScratch scratch;
  preprocess(image, config, out, scratch);
}

}  // namespace gcvit::image
