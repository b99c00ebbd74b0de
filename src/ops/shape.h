// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/backend.h"

namespace gcvit::ops {

/// The shape rule of each operation, one for all backends: the output's shape, or `Error` naming the operation, what
/// it expected and what it found.
Shape convolution3x3_stride2_shape(const Shape& x, const Conv3x3& convolution);
Shape depthwise_convolution3x3_shape(const Shape& x, const Conv3x3& convolution);
Shape linear_shape(const Shape& x, const Linear& linear, const Epilogue& epilogue);
Shape layer_norm_shape(const Shape& x, const LayerNorm& norm);
Shape max_pool3x3_stride2_shape(const Shape& x);
Shape global_average_pool_shape(const Shape& x);
Shape scale_channels_shape(const Shape& x, const Shape& scale);
Shape window_attention_shape(const Shape& qkv, const Shape* global_query, const Parameter& bias_table,
                             std::int32_t heads, Window window);
Shape pad_bottom_right_shape(const Shape& x, std::int32_t height, std::int32_t width);
Shape crop_shape(const Shape& x, std::int32_t height, std::int32_t width);
Shape resize_bicubic_shape(const Shape& x, std::int32_t height, std::int32_t width);
Shape attention_sublayer_shape(const Shape& x, const AttentionSublayer& sublayer);
Shape mlp_sublayer_shape(const Shape& x, const MlpSublayer& sublayer);

/// `x` with its sides rounded up to multiples of the window's: what the attention sub-layer works on.
Shape whole_windows(const Shape& x, Window window);

}  // namespace gcvit::ops
