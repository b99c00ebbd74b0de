// SPDX-License-Identifier: Apache-2.0
#include "ops/backend.h"

#include "ops/shape.h"
#include "base/error.h"

namespace gcvit::ops {

std::string to_string(const Shape& shape) { return fmt::format("{}x{}x{}", shape.height, shape.width, shape.channels); }

Value::Value(const Value& other) : backend_(other.backend_), id_(other.id_), shape_(other.shape_) {
  if (backend_ != nullptr) backend_->retain(id_);
}

Value::~Value() {
  if (backend_ != nullptr) backend_->release(id_);
}

Value Backend::attention_sublayer(const Value& x, const AttentionSublayer& sublayer) {
  const Shape whole = whole_windows(x.shape(), sublayer.window);
  const bool padded = whole != x.shape();
  Value normalized = layer_norm(x, sublayer.norm);
  if (padded) normalized = pad_bottom_right(normalized, whole.height, whole.width);
  const Value qkv = linear(normalized, sublayer.qkv, {});
  Value attended = window_attention(qkv, sublayer.global_query, sublayer.bias_table, sublayer.heads, sublayer.window);
  if (padded) attended = crop(attended, x.shape().height, x.shape().width);
  const Residual residual{x, sublayer.gamma, sublayer.drop_path};
  return linear(attended, sublayer.proj, {.residual = &residual});
}

Value Backend::mlp_sublayer(const Value& x, const MlpSublayer& sublayer) {
  const Value normalized = layer_norm(x, sublayer.norm);
  const Value hidden = linear(normalized, sublayer.fc1, {.activation = Activation::kGelu});
  const Residual residual{x, sublayer.gamma, sublayer.drop_path};
  return linear(hidden, sublayer.fc2, {.residual = &residual});
}

void Backend::enter_scope(std::string_view, std::string_view) {}
void Backend::leave_scope() {}
void Backend::tap(std::string_view, const Value&) {}

}  // namespace gcvit::ops
