// SPDX-License-Identifier: Apache-2.0
#include "native/pack_model.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "base/error.h"
#include "kernels/target.h"
#include "ops/shape.h"

namespace gcvit::native {
namespace {

using ops::Shape;
using ops::Value;

/// The backend that computes nothing: it follows shapes and packs the parameters of each operation.
class PackingBackend final : public ops::Backend {
 public:
  PackingBackend(std::span<ops::Parameter* const> parameters,
                 const std::function<ops::TypedValues(const ops::Parameter&)>& values, PackedParameters& packed)
      : parameters_(parameters), values_(values), packed_(packed) {}

  Value convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) override {
    own(convolution.bias);
    load(convolution.weight, true);
    packed_.convolution(convolution);
    drop(convolution.weight);
    return value(ops::convolution3x3_stride2_shape(x.shape(), convolution));
  }

  Value depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution, ops::Activation) override {
    own(convolution.bias);
    load(convolution.weight);
    packed_.depthwise(convolution.weight);
    drop(convolution.weight);
    return value(ops::depthwise_convolution3x3_shape(x.shape(), convolution));
  }

  Value linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) override {
    own(linear.bias);
    if (epilogue.residual != nullptr && epilogue.residual->gamma != nullptr) own(*epilogue.residual->gamma);
    load(linear.weight, true);
    packed_.linear(linear);
    drop(linear.weight);
    return value(ops::linear_shape(x.shape(), linear, epilogue));
  }

  Value layer_norm(const Value& x, const ops::LayerNorm& norm) override {
    own(norm.weight);
    own(norm.bias);
    return value(ops::layer_norm_shape(x.shape(), norm));
  }

  Value window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                         std::int32_t heads, ops::Window window) override {
    load(bias_table);
    packed_.bias_table(bias_table, window);
    drop(bias_table);
    const Shape* const query = global_query == nullptr ? nullptr : &global_query->shape();
    return value(ops::window_attention_shape(qkv.shape(), query, bias_table, heads, window));
  }

  Value max_pool3x3_stride2(const Value& x, ops::PoolPadding) override {
    return value(ops::max_pool3x3_stride2_shape(x.shape()));
  }
  Value global_average_pool(const Value& x) override { return value(ops::global_average_pool_shape(x.shape())); }
  Value scale_channels(const Value& x, const Value& scale) override {
    return value(ops::scale_channels_shape(x.shape(), scale.shape()));
  }
  Value pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) override {
    return value(ops::pad_bottom_right_shape(x.shape(), height, width));
  }
  Value crop(const Value& x, std::int32_t height, std::int32_t width) override {
    return value(ops::crop_shape(x.shape(), height, width));
  }
  Value resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) override {
    return value(ops::resize_bicubic_shape(x.shape(), height, width));
  }
  void retain(std::int32_t) override {}
  void release(std::int32_t) noexcept override {}

 private:
  Value value(const Shape& shape) { return {*this, 0, shape}; }

  ops::Parameter& parameter(const ops::Parameter& used) const {
    const auto id = static_cast<std::size_t>(used.id);
    if (used.id < 0 || id >= parameters_.size() || parameters_[id] != &used) {
      fail("[native] parameter \"{}\" is not the model's", used.name);
    }
    return *parameters_[id];
  }

  /// Gives a parameter its values, as f32 unless `typed`.
  void load(const ops::Parameter& used, bool typed = false) {
    ops::Parameter& own = parameter(used);
    if (!own.tensor.empty()) return;
    ops::TypedValues values = values_(own);
    if (!typed) values = {ops::to_f32(values), {}};
    own.tensor = std::move(values.values);
    own.scales = std::move(values.scales);
  }
  /// For a parameter that is used as it is: its values, in memory of its own.
  void own(const ops::Parameter& used) {
    load(used);
    ops::Parameter& own = parameter(used);
    own.tensor = Tensor::from_values(own.dims, ops::to_f32({own.tensor, own.scales}).values());
    own.scales = {};
  }
  void own(const std::optional<ops::Parameter>& used) {
    if (used) own(*used);
  }
  void drop(const ops::Parameter& used) {
    parameter(used).tensor = {};
    parameter(used).scales = {};
  }

  std::span<ops::Parameter* const> parameters_;
  const std::function<ops::TypedValues(const ops::Parameter&)>& values_;
  PackedParameters& packed_;
};

}  // namespace

std::shared_ptr<PackedParameters> pack_model(const std::function<void(ops::Backend& backend)>& forward,
                                             std::span<ops::Parameter* const> parameters,
                                             const std::function<ops::TypedValues(const ops::Parameter&)>& values,
                                             ThreadPool& pool) {
  static_cast<void>(kernels::target());  // GCVIT_TARGET takes effect, or is refused, before any kernel runs
  auto packed = std::make_shared<PackedParameters>(pool);
  std::int64_t floats = 0;
  for (const ops::Parameter* parameter : parameters) floats += element_count(parameter->dims);
  packed->reserve(floats);
  PackingBackend backend(parameters, values, *packed);
  forward(backend);
  packed->share();
  return packed;
}

}  // namespace gcvit::native
