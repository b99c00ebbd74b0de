// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ops/backend.h"
#include "ops/training_executor.h"
#include "base/thread_pool.h"

namespace gcvit::native {

class PackedParameters;

/// Computes on this CPU in f32. An image's numbers depend on nothing but the image, the parameters and the SIMD target:
/// not on the batch around it nor on the number of threads. After the first run at a batch size a run allocates
/// nothing.
class NativeBackend final : public ops::TrainingExecutor {
 public:
  /// `pool` must outlive the backend. Parameters are packed as they are used, and again when their version changes.
  explicit NativeBackend(ThreadPool& pool);
  /// On the parameters of a model that `pack_model` packed, which any number of backends share (native/pack_model.h).
  NativeBackend(ThreadPool& pool, std::shared_ptr<PackedParameters> packed);
  ~NativeBackend() override;

  void start(std::int32_t batch) override;
  ops::Value input(const ops::Shape& shape, std::span<const float> values) override;
  std::span<const float> read(const ops::Value& value) const override;
  void set_precision(ops::Precision precision) override;

  void start_training(std::int32_t batch, Training training) override;
  /// The same bits on any number of threads.
  void backward(const ops::Value& value, std::span<const float> gradient, ops::ParameterVector& gradients) override;
  void retain_grad(const ops::Value& value) override;
  std::span<const float> gradient_of(const ops::Value& value) const override;

  std::unique_ptr<ops::ParameterVector> make_vector(std::span<const ops::Parameter* const> parameters) override;
  void add(ops::ParameterVector& to, const ops::ParameterVector& from) override;
  void scale(ops::ParameterVector& vector, float factor) override;
  double norm(const ops::ParameterVector& vector, std::span<const ops::Parameter* const> parameters) override;
  /// Writes the parameters' tensors, which can be written. An element's numbers depend on the element alone (a matrix'
  /// under Muon): the same bits on any number of threads.
  void step(const ops::OptimiserStep& step) override;
  void swap(ops::ParameterVector& vector, std::span<ops::Parameter* const> parameters) override;
  void update_tensors(std::span<ops::Parameter* const> parameters) override;

  ops::Value convolution3x3_stride2(const ops::Value& x, const ops::Conv3x3& convolution) override;
  ops::Value depthwise_convolution3x3(const ops::Value& x, const ops::Conv3x3& convolution,
                                      ops::Activation activation) override;
  ops::Value linear(const ops::Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) override;
  ops::Value layer_norm(const ops::Value& x, const ops::LayerNorm& norm) override;
  ops::Value max_pool3x3_stride2(const ops::Value& x, ops::PoolPadding padding) override;
  ops::Value global_average_pool(const ops::Value& x) override;
  ops::Value scale_channels(const ops::Value& x, const ops::Value& scale) override;
  ops::Value window_attention(const ops::Value& qkv, const ops::Value* global_query, const ops::Parameter& bias_table,
                              std::int32_t heads, ops::Window window) override;
  ops::Value pad_bottom_right(const ops::Value& x, std::int32_t height, std::int32_t width) override;
  ops::Value crop(const ops::Value& x, std::int32_t height, std::int32_t width) override;
  ops::Value resize_bicubic(const ops::Value& x, std::int32_t height, std::int32_t width) override;
  ops::Value attention_sublayer(const ops::Value& x, const ops::AttentionSublayer& sublayer) override;
  ops::Value mlp_sublayer(const ops::Value& x, const ops::MlpSublayer& sublayer) override;
  void retain(std::int32_t id) override;
  void release(std::int32_t id) noexcept override;

  struct State;  ///< the backend's own: state.h

 private:
  std::unique_ptr<State> state_;
};

}  // namespace gcvit::native
