// SPDX-License-Identifier: Apache-2.0
// A backend that computes nothing and writes down what it is asked: one line an operation, "v3 = layer_norm(v2, norm1.weight)".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/backend.h"
#include "ops/shape.h"
#include "base/error.h"

namespace gcvit::testing {

class RecordingBackend : public ops::Backend {
 public:
  using Shape = ops::Shape;
  using Value = ops::Value;

  /// Operations, "enter NAME TYPE", "leave" and "tap NAME vN", in order.
  std::vector<std::string> lines;
  /// Handles on each value.
  std::vector<int> handles;

  Value input(const Shape& shape) { return make(shape); }

  Value convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) override {
    return record(ops::convolution3x3_stride2_shape(x.shape(), convolution), "convolution3x3_stride2", x,
                  name_of(convolution.weight));
  }
  Value depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution, ops::Activation activation) override {
    return record(ops::depthwise_convolution3x3_shape(x.shape(), convolution), "depthwise_convolution3x3", x,
                  name_of(convolution.weight) + text(activation));
  }
  Value linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) override {
    std::string attributes = name_of(linear.weight) + text(epilogue.activation);
    if (const ops::Residual* residual = epilogue.residual) {
      attributes += ", residual " + text(residual->input) + text(residual->gamma, residual->drop_path);
    }
    return record(ops::linear_shape(x.shape(), linear, epilogue), "linear", x, attributes);
  }
  Value layer_norm(const Value& x, const ops::LayerNorm& norm) override {
    return record(ops::layer_norm_shape(x.shape(), norm), "layer_norm", x, name_of(norm.weight));
  }
  Value max_pool3x3_stride2(const Value& x, ops::PoolPadding padding) override {
    return record(ops::max_pool3x3_stride2_shape(x.shape()), "max_pool3x3_stride2", x,
                  padding == ops::PoolPadding::kZero ? "zero" : "neg_inf");
  }
  Value global_average_pool(const Value& x) override {
    return record(ops::global_average_pool_shape(x.shape()), "global_average_pool", x, "");
  }
  Value scale_channels(const Value& x, const Value& scale) override {
    return record(ops::scale_channels_shape(x.shape(), scale.shape()), "scale_channels", x, text(scale));
  }
  Value window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                         std::int32_t heads, ops::Window window) override {
    const Shape* query = global_query == nullptr ? nullptr : &global_query->shape();
    return record(ops::window_attention_shape(qkv.shape(), query, bias_table, heads, window), "window_attention", qkv,
                  name_of(bias_table) + text(global_query, heads, window));
  }

  Value pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) override {
    return record(ops::pad_bottom_right_shape(x.shape(), height, width), "pad_bottom_right", x,
                  fmt::format("{}x{}", height, width));
  }
  Value crop(const Value& x, std::int32_t height, std::int32_t width) override {
    return record(ops::crop_shape(x.shape(), height, width), "crop", x, fmt::format("{}x{}", height, width));
  }
  Value resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) override {
    return record(ops::resize_bicubic_shape(x.shape(), height, width), "resize_bicubic", x,
                  fmt::format("{}x{}", height, width));
  }

  void enter_scope(std::string_view name, std::string_view type) override {
    lines.push_back("enter " + std::string(name) + " " + std::string(type));
  }
  void leave_scope() override { lines.push_back("leave"); }
  void tap(std::string_view name, const Value& value) override {
    lines.push_back("tap " + std::string(name) + " " + text(value));
  }
  void retain(std::int32_t id) override { ++handles[static_cast<std::size_t>(id)]; }
  void release(std::int32_t id) noexcept override { --handles[static_cast<std::size_t>(id)]; }

 protected:
  static std::string text(const Value& value) { return fmt::format("v{}", value.id()); }
  static std::string text(ops::Activation activation) {
    return activation == ops::Activation::kNone ? "" : activation == ops::Activation::kGelu ? ", gelu" : ", sigmoid";
  }
  static std::string text(const ops::Parameter* gamma, float drop_path) {
    return (gamma == nullptr ? "" : ", gamma " + name_of(*gamma)) +
           (drop_path == 0.0f ? "" : fmt::format(", drop_path {:.3g}", drop_path));
  }
  static std::string text(const Value* global_query, std::int32_t heads, ops::Window window) {
    return (global_query == nullptr ? "" : ", query " + text(*global_query)) +
           fmt::format(", {} heads, {}x{}", heads, window.height, window.width);
  }
  static std::string name_of(const ops::Parameter& parameter) { return parameter.name; }

  Value record(const Shape& shape, std::string_view operation, const Value& x, const std::string& attributes) {
    const Value y = make(shape);
    lines.push_back(
        fmt::format("{} = {}({}{}{})", text(y), operation, text(x), attributes.empty() ? "" : ", ", attributes));
    return y;
  }

 private:
  Value make(const Shape& shape) {
    handles.push_back(1);
    return {*this, static_cast<std::int32_t>(handles.size()) - 1, shape};
  }
};

/// Also takes the sub-layers of a block as one operation each.
class FusedRecordingBackend final : public RecordingBackend {
 public:
  Value attention_sublayer(const Value& x, const ops::AttentionSublayer& sublayer) override {
    return record(ops::attention_sublayer_shape(x.shape(), sublayer), "attention_sublayer", x,
                  name_of(sublayer.qkv.weight) + text(sublayer.global_query, sublayer.heads, sublayer.window) +
                      text(sublayer.gamma, sublayer.drop_path));
  }
  Value mlp_sublayer(const Value& x, const ops::MlpSublayer& sublayer) override {
    return record(ops::mlp_sublayer_shape(x.shape(), sublayer), "mlp_sublayer", x,
                  name_of(sublayer.fc1.weight) + text(sublayer.gamma, sublayer.drop_path));
  }
};

}  // namespace gcvit::testing
