// SPDX-License-Identifier: Apache-2.0
#include "summary/summary_backend.h"

#include "ops/shape.h"

namespace gcvit::summary {

using ops::Shape;
using ops::Value;

namespace {

/// Deep models at enormous sizes of images have more multiply-adds than 63 bits count.
std::int64_t saturated_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

}  // namespace

Value SummaryBackend::make_value(const Shape& shape) {
  // A layer's output is the last value made in it.
  if (Layer* layer = open_layer()) layer->output = shape;
  const std::int64_t floats = shape.size();
  value_floats_ = saturated_sum(value_floats_, floats);
  // The smallest free buffer that is large enough, else a new one.
  auto chosen = buffers_.end();
  for (auto buffer = buffers_.begin(); buffer != buffers_.end(); ++buffer) {
    if (buffer->handles != 0 || buffer->floats < floats) continue;
    if (chosen == buffers_.end() || buffer->floats < chosen->floats) chosen = buffer;
  }
  if (chosen == buffers_.end()) {
    chosen = buffers_.insert(buffers_.end(), Buffer{floats, 0});
    buffer_floats_ = saturated_sum(buffer_floats_, floats);
  }
  chosen->handles = 1;
  return {*this, static_cast<std::int32_t>(chosen - buffers_.begin()), shape};
}

template <typename Compute>
Value SummaryBackend::compute_sublayer(const Value& x, const Compute& compute) {
  const std::int64_t before = value_floats_;
  Value y = compute();
  sublayers_.push_back({x.shape(), value_floats_ - before - y.shape().size()});
  return y;
}

Value SummaryBackend::attention_sublayer(const Value& x, const ops::AttentionSublayer& sublayer) {
  return compute_sublayer(x, [&] { return Backend::attention_sublayer(x, sublayer); });
}

Value SummaryBackend::mlp_sublayer(const Value& x, const ops::MlpSublayer& sublayer) {
  return compute_sublayer(x, [&] { return Backend::mlp_sublayer(x, sublayer); });
}

void SummaryBackend::count(const ops::Parameter& parameter) {
  if (!counted_.insert(parameter.id).second) return;
  const std::int64_t size = element_count(parameter.dims);
  parameters_ += size;
  if (Layer* layer = open_layer()) layer->parameters += size;
}

void SummaryBackend::count_macs(std::int64_t macs) {
  macs_ = saturated_sum(macs_, macs);
  if (Layer* layer = open_layer()) layer->macs = saturated_sum(layer->macs, macs);
}

Value SummaryBackend::convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) {
  const Shape shape = ops::convolution3x3_stride2_shape(x.shape(), convolution);
  count(convolution.weight);
  if (convolution.bias) count(*convolution.bias);
  count_macs(shape.positions() * element_count(convolution.weight.dims));
  return make_value(shape);
}

Value SummaryBackend::depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution, ops::Activation) {
  const Shape shape = ops::depthwise_convolution3x3_shape(x.shape(), convolution);
  count(convolution.weight);
  if (convolution.bias) count(*convolution.bias);
  count_macs(shape.positions() * element_count(convolution.weight.dims));
  return make_value(shape);
}

Value SummaryBackend::linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) {
  const Shape shape = ops::linear_shape(x.shape(), linear, epilogue);
  count(linear.weight);
  if (linear.bias) count(*linear.bias);
  if (epilogue.residual != nullptr && epilogue.residual->gamma != nullptr) count(*epilogue.residual->gamma);
  count_macs(shape.positions() * element_count(linear.weight.dims));
  return make_value(shape);
}

Value SummaryBackend::layer_norm(const Value& x, const ops::LayerNorm& norm) {
  const Shape shape = ops::layer_norm_shape(x.shape(), norm);
  count(norm.weight);
  count(norm.bias);
  return make_value(shape);
}

Value SummaryBackend::max_pool3x3_stride2(const Value& x, ops::PoolPadding) {
  return make_value(ops::max_pool3x3_stride2_shape(x.shape()));
}

Value SummaryBackend::global_average_pool(const Value& x) {
  return make_value(ops::global_average_pool_shape(x.shape()));
}

Value SummaryBackend::scale_channels(const Value& x, const Value& scale) {
  return make_value(ops::scale_channels_shape(x.shape(), scale.shape()));
}

Value SummaryBackend::window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                                       std::int32_t heads, ops::Window window) {
  const Shape* query = global_query == nullptr ? nullptr : &global_query->shape();
  const Shape shape = ops::window_attention_shape(qkv.shape(), query, bias_table, heads, window);
  count(bias_table);
  // q k^T and a v: every token meets its window's tokens twice over all channels.
  count_macs(2 * shape.size() * window.tokens());
  return make_value(shape);
}

Value SummaryBackend::pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) {
  return make_value(ops::pad_bottom_right_shape(x.shape(), height, width));
}

Value SummaryBackend::crop(const Value& x, std::int32_t height, std::int32_t width) {
  return make_value(ops::crop_shape(x.shape(), height, width));
}

Value SummaryBackend::resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) {
  return make_value(ops::resize_bicubic_shape(x.shape(), height, width));
}

void SummaryBackend::enter_scope(std::string_view name, std::string_view type) {
  if (scopes_++ == 0) {
    layers_.emplace_back();
    layers_.back().name = name;
    layers_.back().type = type;
  }
}

void SummaryBackend::leave_scope() { --scopes_; }

void SummaryBackend::tap(std::string_view name, const Value& value) {
  Layer* layer = open_layer();
  if (layer != nullptr && name.starts_with("level")) layer->before_downsample = value.shape();
}

}  // namespace gcvit::summary
