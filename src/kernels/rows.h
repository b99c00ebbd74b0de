// SPDX-License-Identifier: Apache-2.0
// Kernels that walk over the rows and positions of a map; NHWC, every row's channels contiguous.
#pragma once

#include <cstdint>

namespace gcvit::kernels {

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias over the `channels` of each of `count` positions. `y` may
/// be `x`.
void layer_norm(const float* const* x, std::int32_t count, std::int32_t channels, const float* weight,
                const float* bias, float epsilon, float* const* y);

/// Three rows of a map, [width][channels] each; null outside the map.
struct RowTriple {
  const float* above;
  const float* middle;
  const float* below;
};

/// One row of a depthwise 3x3 convolution, stride 1, padding 1, weights [9][channels] (kernel row by row), followed by
/// GELU when asked: y [width][channels].
void depthwise3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* weights, bool gelu,
                      float* y);

/// One row of a 3x3 max pool, stride 2, padding 1 with `outside`: y [width / 2][channels]; `width` is x's, even.
void max_pool3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside, float* y);

/// y[c] = scale * sum over `count` positions of x[.][c], added in order.
void sum_positions(const float* x, std::int64_t count, std::int32_t channels, float scale, float* y);

/// y = x * scale, channel by channel, for `count` positions; `y` may be `x`.
void scale_positions(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y);

}  // namespace gcvit::kernels
