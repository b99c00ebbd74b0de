// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <algorithm>
#include <bit>
#include <ranges>
#include <vector>

#include "base/error.h"

namespace gcvit::model {
namespace {

GCViTConfig make_config(std::int32_t dim, std::array<std::int32_t, kLevels> depths, std::int32_t heads,
                        double mlp_ratio, bool layer_scale, float drop_path, std::int32_t image_size = 224) {
  GCViTConfig config;
  config.dim = dim;
  config.depths = depths;
  config.heads = {heads, heads * 2, heads * 4, heads * 8};
  const std::int32_t side = image_size / 32;
  config.windows = {{{side, side}, {side, side}, {2 * side, 2 * side}, {side, side}}};
  config.mlp_ratio = mlp_ratio;
  config.layer_scale = layer_scale;
  config.image_height = config.image_width = image_size;
  config.drop_path = drop_path;
  return config;
}

/// The map of a level where images have this size.
ops::Window map_of(ImageSize image, int level) { return {image.height >> (level + 2), image.width >> (level + 2)}; }

}  // namespace

std::int32_t GCViTConfig::hidden_channels(int level) const {
  return static_cast<std::int32_t>(static_cast<double>(channels(level)) * mlp_ratio);
}

std::int32_t GCViTConfig::squeezed_channels(std::int32_t channels) const {
  const std::int64_t quarter = channels / 4;
  const std::int64_t nearest = (quarter + squeeze_divisor / 2) / squeeze_divisor * squeeze_divisor;
  return static_cast<std::int32_t>(std::max<std::int64_t>(nearest, squeeze_divisor));
}

std::int32_t GCViTConfig::query_reductions(int level) const {
  const std::int32_t native_height = map_of(native_image_size(), level).height;
  const std::int32_t factor = native_height / windows[static_cast<std::size_t>(level)].height;
  return static_cast<std::int32_t>(std::bit_width(static_cast<std::uint32_t>(factor))) - 1;
}

void validate(const GCViTConfig& config) {
  if (config.dim < 4 || config.dim % 4 != 0 || config.dim > 4096) {
    fail("[config] dim: expected a multiple of 4 from 4 to 4096, found {}", config.dim);
  }
  if (config.squeeze_divisor != 1 && config.squeeze_divisor != 8) {
    fail("[config] squeeze_divisor: expected 1 or 8, found {}", config.squeeze_divisor);
  }
  if (config.classes < 1 || config.classes > 1'000'000) {
    fail("[config] classes: expected 1 to 1,000,000, found {}", config.classes);
  }
  if (!(config.mlp_ratio > 0.0 && config.mlp_ratio <= 64.0) || config.hidden_channels(0) < 1) {
    fail("[config] mlp_ratio: expected a ratio in (0, 64] that leaves a channel, found {}", config.mlp_ratio);
  }
  const ImageSize native = config.native_image_size();
  for (const auto& [name, size] : {std::pair{"image height", config.image_height},
                                   {"image width", config.image_width},
                                   {"native image height", native.height},
                                   {"native image width", native.width}}) {
    if (size < kImageStep || size % kImageStep != 0 || size > kLargestImage) {
      fail("[config] {}: expected a multiple of {} from {} to {}, found {}", name, kImageStep, kImageStep,
           kLargestImage, size);
    }
  }
  for (int level = 0; level < kLevels; ++level) {
    const auto l = static_cast<std::size_t>(level);
    const ops::Window map = map_of(native, level);
    const ops::Window window = config.windows[l];
    if (config.depths[l] < 1 || config.depths[l] > 1000) {
      fail("[config] level{}: expected 1 to 1000 blocks, found {}", level + 1, config.depths[l]);
    }
    if (config.heads[l] < 1 || config.channels(level) % config.heads[l] != 0) {
      fail("[config] level{}: expected a number of heads that divides {} channels, found {}", level + 1,
           config.channels(level), config.heads[l]);
    }
    if (window.height < 1 || window.width < 1 || map.height % window.height != 0 || map.width % window.width != 0 ||
        map.height / window.height != map.width / window.width ||
        !std::has_single_bit(static_cast<std::uint32_t>(map.height / window.height))) {
      fail("[config] level{}: a {}x{} map can't be halved to its {}x{} window", level + 1, map.height, map.width,
           window.height, window.width);
    }
    const ops::Window seen = config.map(level);
    const std::int32_t divisor = 1 << config.query_reductions(level);
    if (seen.height % divisor != 0 || seen.width % divisor != 0) {
      fail("[config] level{}: a {}x{} map can't be halved {} times, as for its global query", level + 1, seen.height,
           seen.width, config.query_reductions(level));
    }
  }
}

std::span<const Variant> variants() {
  static const std::vector<Variant> kVariants = {
      {"xxtiny", make_config(64, {2, 2, 6, 2}, 2, 3, false, 0.2f), 79.9},
      {"xtiny", make_config(64, {3, 4, 6, 5}, 2, 3, false, 0.2f), 82.0},
      {"tiny", make_config(64, {3, 4, 19, 5}, 2, 3, false, 0.2f), 83.5},
      {"tiny2", make_config(64, {3, 4, 29, 5}, 2, 3, false, 0.25f), 83.7},
      {"small", make_config(96, {3, 4, 19, 5}, 3, 2, true, 0.3f), 84.3},
      {"small2", make_config(96, {3, 4, 23, 5}, 3, 3, true, 0.35f), 84.8},
      {"base", make_config(128, {3, 4, 19, 5}, 4, 2, true, 0.5f), 85.0},
      {"large", make_config(192, {3, 4, 19, 5}, 6, 2, true, 0.5f), 85.7},
      {"large_384", make_config(192, {3, 4, 19, 5}, 6, 2, true, 0.1f, 384), 87.4},
      {"large_512", make_config(192, {3, 4, 19, 5}, 6, 2, true, 0.1f, 512), 87.6},
  };
  return kVariants;
}

const GCViTConfig& variant_config(std::string_view name) {
  std::string_view short_name = name;
  if (short_name.starts_with("gcvit_")) short_name.remove_prefix(6);
  std::vector<std::string_view> names;
  for (const Variant& variant : variants()) {
    if (variant.name == short_name) return variant.config;
    names.push_back(variant.name);
  }
  fail("[config] unknown variant \"{}\": expected one of {}", name, fmt::join(names, ", "));
}

std::string_view variant_name(const GCViTConfig& config) {
  std::string_view resized = "custom";
  for (const Variant& variant : std::views::reverse(variants())) {
    GCViTConfig candidate = variant.config;
    candidate.classes = config.classes;
    candidate.pool_padding = config.pool_padding;
    candidate.head_activation = config.head_activation;
    candidate.drop_path = config.drop_path;
    if (candidate == config) return variant.name;
    bool same_generators = true;
    for (int level = 0; level < kLevels; ++level) {
      same_generators = same_generators && config.query_reductions(level) == candidate.query_reductions(level);
    }
    candidate.windows = config.windows;
    candidate.image_height = config.image_height;
    candidate.image_width = config.image_width;
    candidate.native_image = config.native_image;
    if (same_generators && candidate == config) resized = variant.name;
  }
  return resized;
}

}  // namespace gcvit::model
