// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/decode.h"
#include "image/resize.h"

namespace gcvit::image {

/// Whose chain from picture to input tensor; docs/preprocessing.md has them step by step.
enum class Preset { kTimm, kNvlabs, kKeras, kKerasTrain };

/// "timm", "nvlabs", "keras" or "keras-train".
std::string_view to_string(Preset preset);

/// "bilinear" or "bicubic".
std::string_view to_string(Filter filter);

/// The preset of that name, or nothing.
std::optional<Preset> preset_named(std::string_view name);

/// A preset and its numbers. The defaults are timm's for GCViT.
struct PreprocessConfig {
  Preset preset = Preset::kTimm;
  std::int32_t height = 224;
  std::int32_t width = 224;
  /// timm, nvlabs: the crop's share of the resized picture, in (0, 1].
  double crop_pct = 0.875;
  /// timm, nvlabs: both sides go to their target, whatever the picture's proportions.
  bool squash = false;
  /// timm, nvlabs: what resizes.
  Filter interpolation = Filter::kBicubic;
  /// Of values in 0..1, as red, green, blue.
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};
  std::array<float, 3> std = {0.229f, 0.224f, 0.225f};
};

/// The preset's numbers for a model. `variant` ("xxtiny", "large_384", "gcvit_tiny", ...; empty if unknown) matters to
/// nvlabs alone, whose crop_pct differs from variant to variant and which squashes at 384 and 512.
PreprocessConfig make_preprocess_config(Preset preset, std::string_view variant, std::int32_t height,
                                        std::int32_t width);

/// Throws `Error` unless the sides are in 1..kMaxSide, crop_pct in (0, 1], mean finite and std finite and positive.
void check(const PreprocessConfig& config);

/// The effective chain in one line for people, for example "timm: shorter side to 256 (bicubic, antialiased), centre
/// crop 224x224, mean 0.485 0.456 0.406, std 0.229 0.224 0.225".
std::string describe(const PreprocessConfig& config);

/// A rectangle of a picture, in its pixels; edges may lie within pixels.
struct Area {
  double top = 0;
  double left = 0;
  double height = 0;
  double width = 0;
};

/// What the input tensor shows of a picture of these sides: all of it, or what is left of it by the crop. Its pixel (x, y) is the centre of
/// the picture's (left + (x + 0.5) * area.width / config.width, ...). Throws `Error` for a bad config and sides that `preprocess` refuses.
Area seen_area(std::int32_t height, std::int32_t width, const PreprocessConfig& config);

/// Memory kept between pictures; one a thread.
struct PreprocessScratch {
  ResizeScratch resize;
  std::vector<std::uint8_t> cropped;
  std::vector<float> values;
};

/// The preset's geometry alone: height x width x 3 bytes. What timm and nvlabs have before normalising; of keras and
/// keras-train, rounded.
void fit(const Image& image, const PreprocessConfig& config, std::span<std::uint8_t> out, PreprocessScratch& scratch);
/// (x / 255 - mean) / std of each channel of RGB pixels.
void normalise(std::span<const std::uint8_t> pixels, const PreprocessConfig& config, std::span<float> out);

/// Writes the tensor the model sees, height x width x 3 normalised floats (NHWC), into `out`.
/// Before normalising, timm and nvlabs equal torchvision's transforms on Pillow bit for bit; keras and keras-train are
/// within 1e-4 of TensorFlow's on the scale of 0..255. Throws `Error` for a bad config, image or size of `out`.
void preprocess(const Image& image, const PreprocessConfig& config, std::span<float> out, PreprocessScratch& scratch);
void preprocess(const Image& image, const PreprocessConfig& config, std::span<float> out);

}  // namespace gcvit::image
