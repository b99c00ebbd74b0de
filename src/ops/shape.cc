// SPDX-License-Identifier: Apache-2.0
#include "ops/shape.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace gcvit::ops {
namespace {

void expect_channels(std::string_view operation, const Parameter& weight, std::int64_t expected, std::int64_t found) {
  if (expected != found) {
    fail("[ops] {} \"{}\" {}: expected {} input channels, found {}", operation, weight.name,
         gcvit::to_string(weight.dims), expected, found);
  }
}

void expect_one_per_channel(std::string_view operation, const Parameter& parameter, std::int64_t channels) {
  if (parameter.dims.size() != 1 || parameter.dims[0] != channels) {
    fail("[ops] {} \"{}\": expected one value for each of {} channels, found {}", operation, parameter.name, channels,
         gcvit::to_string(parameter.dims));
  }
}

void expect_even_map(std::string_view operation, const Shape& x) {
  if (x.height % 2 != 0 || x.width % 2 != 0 || x.height == 0 || x.width == 0) {
    fail("[ops] {}: expected a map with even height and width, found {}", operation, to_string(x));
  }
}

Shape with_channels(const Shape& x, std::int64_t channels) {
  return {x.height, x.width, static_cast<std::int32_t>(channels)};
}

}  // namespace

Shape convolution3x3_stride2_shape(const Shape& x, const Conv3x3& convolution) {
  const Parameter& weight = convolution.weight;
  expect_channels("convolution3x3_stride2", weight, weight.dims.at(1), x.channels);
  if (convolution.bias) expect_one_per_channel("convolution3x3_stride2", *convolution.bias, weight.dims[0]);
  expect_even_map("convolution3x3_stride2", x);
  return {x.height / 2, x.width / 2, static_cast<std::int32_t>(weight.dims[0])};
}

Shape depthwise_convolution3x3_shape(const Shape& x, const Conv3x3& convolution) {
  expect_channels("depthwise_convolution3x3", convolution.weight, convolution.weight.dims.at(0), x.channels);
  return x;
}

Shape linear_shape(const Shape& x, const Linear& linear, const Epilogue& epilogue) {
  expect_channels("linear", linear.weight, linear.weight.dims.at(1), x.channels);
  if (linear.bias) expect_one_per_channel("linear", *linear.bias, linear.weight.dims[0]);
  if (epilogue.residual != nullptr && epilogue.residual->gamma != nullptr) {
    expect_one_per_channel("linear", *epilogue.residual->gamma, linear.weight.dims[0]);
  }
  if (epilogue.residual != nullptr && epilogue.activation != Activation::kNone) {
    fail("[ops] linear \"{}\": expected an activation or a residual, found both", linear.weight.name);
  }
  const Shape shape = with_channels(x, linear.weight.dims[0]);
  if (epilogue.residual != nullptr && epilogue.residual->input.shape() != shape) {
    fail("[ops] linear \"{}\": expected a residual of {}, found {}", linear.weight.name, to_string(shape),
         to_string(epilogue.residual->input.shape()));
  }
  return shape;
}

Shape layer_norm_shape(const Shape& x, const LayerNorm& norm) {
  expect_channels("layer_norm", norm.weight, norm.weight.dims.at(0), x.channels);
  expect_one_per_channel("layer_norm", norm.bias, x.channels);
  return x;
}

Shape max_pool3x3_stride2_shape(const Shape& x) {
  expect_even_map("max_pool3x3_stride2", x);
  return {x.height / 2, x.width / 2, x.channels};
}

Shape global_average_pool_shape(const Shape& x) { return {1, 1, x.channels}; }

Shape scale_channels_shape(const Shape& x, const Shape& scale) {
  if (scale != Shape{1, 1, x.channels}) {
    fail("[ops] scale_channels: expected a scale of 1x1x{}, found {}", x.channels, to_string(scale));
  }
  return x;
}

Shape window_attention_shape(const Shape& qkv, const Shape* global_query, const Parameter& bias_table,
                             std::int32_t heads, Window window) {
  const std::int32_t parts = global_query == nullptr ? 3 : 2;
  if (heads <= 0 || qkv.channels % (parts * heads) != 0) {
    fail("[ops] window_attention \"{}\": expected channels in {} parts of {} heads, found {}", bias_table.name, parts,
         heads, qkv.channels);
  }
  if (window.height <= 0 || window.width <= 0 || qkv.height % window.height != 0 || qkv.width % window.width != 0) {
    fail("[ops] window_attention \"{}\": a map of {}x{} is not made of whole {}x{} windows", bias_table.name,
         qkv.height, qkv.width, window.height, window.width);
  }
  const std::array<std::int64_t, 2> table{std::int64_t{2 * window.height - 1} * (2 * window.width - 1), heads};
  if (!std::ranges::equal(bias_table.dims, table)) {
    fail("[ops] window_attention \"{}\": expected a bias table of {}, found {}", bias_table.name,
         gcvit::to_string(table), gcvit::to_string(bias_table.dims));
  }
  const Shape query{window.height, window.width, qkv.channels / parts};
  if (global_query != nullptr && *global_query != query) {
    fail("[ops] window_attention \"{}\": expected a global query of {}, found {}", bias_table.name, to_string(query),
         to_string(*global_query));
  }
  return with_channels(qkv, qkv.channels / parts);
}

Shape pad_bottom_right_shape(const Shape& x, std::int32_t height, std::int32_t width) {
  if (height < x.height || width < x.width) {
    fail("[ops] pad_bottom_right: expected at least {}x{}, found {}x{}", x.height, x.width, height, width);
  }
  return {height, width, x.channels};
}

Shape crop_shape(const Shape& x, std::int32_t height, std::int32_t width) {
  if (height < 1 || width < 1 || height > x.height || width > x.width) {
    fail("[ops] crop: expected 1x1 to {}x{}, found {}x{}", x.height, x.width, height, width);
  }
  return {height, width, x.channels};
}

Shape resize_bicubic_shape(const Shape& x, std::int32_t height, std::int32_t width) {
  if (height < 1 || width < 1 || x.height < 1 || x.width < 1) {
    fail("[ops] resize_bicubic: expected maps with a position, found {}x{} to be resized to {}x{}", x.height, x.width,
         height, width);
  }
  return {height, width, x.channels};
}

Shape whole_windows(const Shape& x, Window window) {
  if (window.height < 1 || window.width < 1) return x;  // window_attention refuses them
  return {(x.height + window.height - 1) / window.height * window.height,
          (x.width + window.width - 1) / window.width * window.width, x.channels};
}

Shape attention_sublayer_shape(const Shape& x, const AttentionSublayer& sublayer) {
  const Shape normalized = whole_windows(layer_norm_shape(x, sublayer.norm), sublayer.window);
  const Shape qkv = linear_shape(normalized, sublayer.qkv, {});
  const Shape* query = sublayer.global_query == nullptr ? nullptr : &sublayer.global_query->shape();
  const Shape attended = window_attention_shape(qkv, query, sublayer.bias_table, sublayer.heads, sublayer.window);
  if (linear_shape(crop_shape(attended, x.height, x.width), sublayer.proj, {}) != x) {
    fail("[ops] attention_sublayer \"{}\": expected an output of {}", sublayer.proj.weight.name, to_string(x));
  }
  return x;
}

Shape mlp_sublayer_shape(const Shape& x, const MlpSublayer& sublayer) {
  const Shape hidden = linear_shape(layer_norm_shape(x, sublayer.norm), sublayer.fc1, {});
  if (linear_shape(hidden, sublayer.fc2, {}) != x) {
    fail("[ops] mlp_sublayer \"{}\": expected an output of {}", sublayer.fc2.weight.name, to_string(x));
  }
  return x;
}

}  // namespace gcvit::ops
