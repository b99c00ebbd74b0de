// SPDX-License-Identifier: Apache-2.0
#include "ops/backend.h"

#include "ops/shape.h"
#include "tensor/error.h"

namespace gcvit::ops {

std::string to_string(const Shape& shape) { return fmt::format("{}x{}x{}", shape.height, shape.width, shape.channels); }

Value::Value(const Value& other) : backend_(other.backend_), id_(other.id_), shape_(other.shape_) {
  if (backend_ != nullptr) backend_->retain(id_);
}

Value::~Value() {
  if (backend_ != nullptr) backend_->release(id_);
}

Value Backend::attention_half(const Value& x, const AttentionHalf& half) {
  const Shape whole = whole_windows(x.shape(), half.window);
  const bool padded = whole != x.shape();
  Value normalized = layer_norm(x, half.norm);
  if (padded) normalized = pad_bottom_right(normalized, whole.height, whole.width);
  const Value qkv = linear(normalized, half.qkv, {});
  Value attended = window_attention(qkv, half.global_query, half.bias_table, half.heads, half.window);
  if (padded) attended = crop(attended, x.shape().height, x.shape().width);
  const Residual residual{x, half.gamma, half.drop_path};
  return linear(attended, half.proj, {.residual = &residual});
}

Value Backend::mlp_half(const Value& x, const MlpHalf& half) {
  const Value normalized = layer_norm(x, half.norm);
  const Value hidden = linear(normalized, half.fc1, {.activation = Activation::kGelu});
  const Residual residual{x, half.gamma, half.drop_path};
  return linear(hidden, half.fc2, {.residual = &residual});
}

void Backend::enter_scope(std::string_view, std::string_view) {}
void Backend::leave_scope() {}
void Backend::tap(std::string_view, const Value&) {}

}  // namespace gcvit::ops
