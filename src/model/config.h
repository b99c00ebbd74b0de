// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ops/backend.h"

namespace gcvit::model {

/// GCViT has four levels; level l's map is the image divided by 4 * 2^l, its width dim * 2^l channels.
inline constexpr int kLevels = 4;
/// Image sides are multiples of this up to that.
inline constexpr std::int32_t kImageStep = 32;
inline constexpr std::int32_t kLargestImage = 16384;

/// What the head of the source framework puts behind the logits. Ours always returns logits; this is kept so that a
/// file written back says the same.
enum class HeadActivation : std::uint8_t { kNone, kSoftmax };

struct ImageSize {
  std::int32_t height = 0;
  std::int32_t width = 0;
  bool operator==(const ImageSize&) const = default;
};

/// Everything that decides the architecture. Defaults are xxtiny at 224 with 1000 classes.
struct GCViTConfig {
  std::int32_t dim = 64;                                  ///< channels behind the stem
  std::array<std::int32_t, kLevels> depths{2, 2, 6, 2};   ///< blocks a level; even ones local, odd ones global
  std::array<std::int32_t, kLevels> heads{2, 4, 8, 16};
  std::array<ops::Window, kLevels> windows{{{7, 7}, {7, 7}, {14, 14}, {7, 7}}};
  double mlp_ratio = 3.0;
  bool layer_scale = false;
  /// Squeeze-and-excitation narrows C channels to C/4, rounded to the nearest multiple of this: 1 in the paper's code, 8 in timm,
  /// where it shows below dim 32.
  std::int32_t squeeze_divisor = 1;
  std::int32_t classes = 1000;
  std::int32_t image_height = 224;
  std::int32_t image_width = 224;
  /// The image size that windows and query generators are made for, where it isn't that of the images: then a map that
  /// isn't made of whole windows is padded in each block, and a query of another size is resized to the window.
  std::optional<ImageSize> native_image;
  ops::PoolPadding pool_padding = ops::PoolPadding::kNegativeInfinity;
  HeadActivation head_activation = HeadActivation::kNone;
  float drop_path = 0.0f;  ///< rate of the last block; it grows linearly from 0. Training only.

  std::int32_t channels(int level) const { return dim << level; }
  ImageSize image_size() const { return {image_height, image_width}; }
  ImageSize native_image_size() const { return native_image.value_or(image_size()); }
  /// The map that the blocks of `level` (0-based) see.
  ops::Window map(int level) const { return {image_height >> (level + 2), image_width >> (level + 2)}; }
  std::int32_t hidden_channels(int level) const;
  /// How often level `level`'s global query generator halves its map, which at the native image size makes it the window;
  /// 0 when it is the window there.
  std::int32_t query_reductions(int level) const;
  /// The width of squeeze-and-excitation's inner layer.
  std::int32_t squeezed_channels(std::int32_t channels) const;

  bool operator==(const GCViTConfig&) const = default;
};

/// Throws `Error` naming the first rule the config breaks: positive sizes, image sides multiples of 32, maps made of
/// whole windows that halving reaches (at the native image size), maps that can be halved as often as the query
/// generators do, heads that divide the channels, dim divisible by 4.
void validate(const GCViTConfig& config);

/// A published architecture: its name, config at its published size and published ImageNet top-1 in percent.
struct Variant {
  std::string_view name;
  GCViTConfig config;
  double published_top1;
};

/// xxtiny, xtiny, tiny, tiny2, small, small2, base, large, large_384, large_512.
std::span<const Variant> variants();
/// The config of a published variant; "gcvit_xxtiny" and "xxtiny" are the same. Throws `Error` listing the names.
const GCViTConfig& variant_config(std::string_view name);
/// The published name of a config, whatever its classes, padding and drop path, and at whatever image size it has by
/// `with_image_size`; "custom" when there is none.
std::string_view variant_name(const GCViTConfig& config);

}  // namespace gcvit::model
