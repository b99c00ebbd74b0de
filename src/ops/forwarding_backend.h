// SPDX-License-Identifier: Apache-2.0
// What looks at a model's way, or changes it, hands all else on.
#pragma once

#include <string_view>

#include "ops/backend.h"

namespace gcvit::ops {

/// Hands every operation on to another backend, sub-layers as their plain composition; values are the other's.
class ForwardingBackend : public Backend {
 public:
  /// `inner` must outlive this one.
  explicit ForwardingBackend(Backend& inner) : inner_(inner) {}

  Value convolution3x3_stride2(const Value& x, const Conv3x3& convolution) override {
    return inner_.convolution3x3_stride2(x, convolution);
  }
  Value linear(const Value& x, const Linear& linear, const Epilogue& epilogue) override {
    return inner_.linear(x, linear, epilogue);
  }
  Value depthwise_convolution3x3(const Value& x, const Conv3x3& convolution, Activation activation) override {
    return inner_.depthwise_convolution3x3(x, convolution, activation);
  }
  Value layer_norm(const Value& x, const LayerNorm& norm) override { return inner_.layer_norm(x, norm); }
  Value max_pool3x3_stride2(const Value& x, PoolPadding padding) override {
    return inner_.max_pool3x3_stride2(x, padding);
  }
  Value global_average_pool(const Value& x) override { return inner_.global_average_pool(x); }
  Value scale_channels(const Value& x, const Value& scale) override { return inner_.scale_channels(x, scale); }
  Value window_attention(const Value& qkv, const Value* global_query, const Parameter& bias_table, std::int32_t heads,
                         Window window) override {
    return inner_.window_attention(qkv, global_query, bias_table, heads, window);
  }
  Value pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) override {
    return inner_.pad_bottom_right(x, height, width);
  }
  Value crop(const Value& x, std::int32_t height, std::int32_t width) override { return inner_.crop(x, height, width); }
  Value resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) override {
    return inner_.resize_bicubic(x, height, width);
  }

  void enter_scope(std::string_view name, std::string_view type) override { inner_.enter_scope(name, type); }
  void leave_scope() override { inner_.leave_scope(); }
  void tap(std::string_view name, const Value& value) override { inner_.tap(name, value); }
  void retain(std::int32_t id) override { inner_.retain(id); }
  void release(std::int32_t id) noexcept override { inner_.release(id); }

 protected:
  Backend& inner() { return inner_; }

 private:
  Backend& inner_;
};

}  // namespace gcvit::ops
