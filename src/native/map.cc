// SPDX-License-Identifier: Apache-2.0
// Operations that change a map's sides: what other image sizes need where windows are fixed.
#include <algorithm>

#include "native/state.h"
#include "ops/shape.h"
#include "base/bicubic.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

Value NativeBackend::pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) {
  const Shape shape = ops::pad_bottom_right_shape(x.shape(), height, width);
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const std::int64_t row_size = std::int64_t{x.shape().width} * shape.channels;
  const std::int64_t padded_row_size = std::int64_t{width} * shape.channels;
  state_->parallel_for(state_->batch * height, 0, 0, [&](std::int64_t index, Scratch&) {
    const std::int64_t image = index / height;
    const std::int64_t row = index % height;
    float* out = to + index * padded_row_size;
    float* const end = out + padded_row_size;
    if (row < x.shape().height) out = std::copy_n(from + (image * x.shape().height + row) * row_size, row_size, out);
    std::fill(out, end, 0.0f);
  });
  if (state_->needs_gradient(x)) {
    state_->record(y, [this, x_node = state_->node(x), map = x.shape()](const Value& gradient) {
      state_->add_gradient(x_node, crop(gradient, map.height, map.width));
    });
  }
  return y;
}

Value NativeBackend::crop(const Value& x, std::int32_t height, std::int32_t width) {
  const Shape shape = ops::crop_shape(x.shape(), height, width);
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const std::int64_t row_size = std::int64_t{x.shape().width} * shape.channels;
  const std::int64_t cropped_row_size = std::int64_t{width} * shape.channels;
  state_->parallel_for(state_->batch * height, 0, 0, [&](std::int64_t index, Scratch&) {
    const std::int64_t row = index / height * x.shape().height + index % height;
    std::copy_n(from + row * row_size, cropped_row_size, to + index * cropped_row_size);
  });
  if (state_->needs_gradient(x)) {
    state_->record(y, [this, x_node = state_->node(x), map = x.shape()](const Value& gradient) {
      state_->add_gradient(x_node, pad_bottom_right(gradient, map.height, map.width));
    });
  }
  return y;
}

Value NativeBackend::resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) {
  const Shape shape = ops::resize_bicubic_shape(x.shape(), height, width);
  const Value y = state_->make_value(*this, shape);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const BicubicResize resize{.height = x.shape().height,
                             .width = x.shape().width,
                             .new_height = height,
                             .new_width = width,
                             .channels = shape.channels};
  state_->parallel_for(state_->batch * height, 0, 0, [&](std::int64_t index, Scratch&) {
    const std::int64_t image = index / height;
    resize_bicubic_row(from + image * x.shape().size(), resize, static_cast<std::int32_t>(index % height),
                       to + index * width * shape.channels);
  });
  if (state_->needs_gradient(x)) {
    state_->record(y, [this, x_node = state_->node(x), resize](const Value& gradient) {
      const float* dy = state_->data(gradient);
      float* dx = state_->gradient_to_add_to(*this, x_node);
      const std::int64_t map_size = std::int64_t{resize.height} * resize.width * resize.channels;
      state_->parallel_for(state_->batch, 0, 0, [&](std::int64_t image, Scratch&) {
        const float* from_image = dy + image * resize.new_height * resize.new_width * resize.channels;
        for (std::int32_t row = 0; row < resize.new_height; ++row) {
          resize_bicubic_row_backward(from_image + std::int64_t{row} * resize.new_width * resize.channels, resize, row,
                                      dx + image * map_size);
        }
      });
    });
  }
  return y;
}

}  // namespace gcvit::native
