// SPDX-License-Identifier: Apache-2.0
// Kernels that run over the rows and positions of a map; NHWC, every row's channels contiguous. A backward stands
// behind its forward: dy is the gradient of the loss by y, and each gradient that it gives is either written or added
// to what is there.
#pragma once

#include <cstdint>

namespace gcvit::kernels {

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias over the `channels` of each of `count` positions. `y` may
/// be `x`.
void layer_norm(const float* const* x, std::int32_t count, std::int32_t channels, const float* weight,
                const float* bias, float epsilon, float* const* y);

/// The gradients of layer_norm, whose mean and deviation are computed again from its input `x`: dx, dweight and dbias
/// are added. `dweight` and `dbias` may be null, both. No row of `dx` may be one of `x` or `dy`.
void layer_norm_backward(const float* const* x, const float* const* dy, std::int32_t count, std::int32_t channels,
                         const float* weight, float epsilon, float* const* dx, float* dweight, float* dbias);

/// y = GELU(x) in its exact form; `y` may be `x`.
void gelu_forward(const float* x, std::int64_t count, float* y);

/// dx = dy GELU'(x), written; `dx` may be `dy`.
void gelu_backward(const float* x, const float* dy, std::int64_t count, float* dx);

/// dx = dy y (1 - y), written, where y is the sigmoid's result; `dx` may be `dy`.
void sigmoid_backward(const float* y, const float* dy, std::int64_t count, float* dx);

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

/// What one row of results adds to the gradient of the weights [9][channels] (before GELU): dweights is added. The
/// gradient by x is depthwise3x3_row of dy with the weights' nine taps in reverse order.
void depthwise3x3_weight_gradient_row(const RowTriple& x, std::int32_t width, std::int32_t channels, const float* dy,
                                      float* dweights);

/// One row of a 3x3 max pool, stride 2, padding 1 with `outside`: y [width / 2][channels]; `width` is x's, even.
void max_pool3x3_row(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside, float* y);

/// Adds every dy [width / 2][channels] to the dx of the position where max_pool3x3_row found its maximum: among equals
/// the first, row by row, as PyTorch does. The padding takes part in that order, and what it wins is lost; minus
/// infinity never wins. The rows of dx are x's, and null where those are.
void max_pool3x3_backward_row(const RowTriple& x, std::int32_t width, std::int32_t channels, float outside,
                              const float* dy, float* dx_above, float* dx_middle, float* dx_below);

/// y[c] = scale * sum over `count` positions of x[.][c], added in order.
void sum_positions(const float* x, std::int64_t count, std::int32_t channels, float scale, float* y);

/// y = x * scale, channel by channel, for `count` positions; `y` may be `x`.
void scale_positions(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y);

/// dx = dy * scale, written; dscale[c] = sum over positions of dy * x, in order, added. `dx` may be `dy`.
void scale_positions_backward(const float* x, const float* scale, const float* dy, std::int64_t count,
                              std::int32_t channels, float* dx, float* dscale);

/// sums[c] = sum over `count` positions of a[.][c] * b[.][c], in order, added.
void dot_positions(const float* a, const float* b, std::int64_t count, std::int32_t channels, float* sums);

/// y += x.
void add_to(float* y, const float* x, std::int64_t count);

/// y += factor * x.
void add_scaled_to(float* y, const float* x, float factor, std::int64_t count);

/// y += x * scale, channel by channel, for `count` positions; a null scale is all ones.
void add_scaled_positions(const float* x, std::int64_t count, std::int32_t channels, const float* scale, float* y);

}  // namespace gcvit::kernels
