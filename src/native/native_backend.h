// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/gemm.h"
#include "native/parameter_vector.h"
#include "ops/backend.h"
#include "base/thread_pool.h"

namespace gcvit::native {

class PackedParameters;

/// Computes on this CPU in f32. An image's numbers depend on nothing but the image, the parameters and the SIMD target:
/// not on the batch around it nor on the number of threads. After the first run at a batch size a run allocates
/// nothing. One run at a time, and one model: parameters are told apart by their ids.
class NativeBackend final : public ops::Backend {
 public:
  /// `pool` must outlive the backend. Parameters are packed as they are used, and again when their version changes.
  explicit NativeBackend(ThreadPool& pool);
  /// On the parameters of a model that `pack_model` packed, which any number of backends share (native/pack_model.h).
  NativeBackend(ThreadPool& pool, std::shared_ptr<PackedParameters> packed);
  ~NativeBackend() override;

  /// Begins a run: values made from here on hold `batch` images. Throws `Error` unless batch is positive.
  void start(std::int32_t batch);
  /// A value of `batch` images from NHWC floats, batch * shape.size() of them (else throws `Error`); copied.
  ops::Value input(const ops::Shape& shape, std::span<const float> values);
  /// The NHWC floats of a value, all images; valid while the value lives.
  std::span<const float> read(const ops::Value& value) const;

  using TapHook = std::function<void(std::string_view name, const ops::Value& value)>;
  /// Called during forward for each named value of the model; an empty function listens to none.
  void set_tap_hook(TapHook hook);

  /// What the products of linear layers and strided convolutions round their operands to, from the next start on; f32
  /// without a call. Sums, and all other operations, are f32 always.
  void set_precision(kernels::Precision precision);

  /// What a training run needs to know beyond the batch.
  struct Training {
    /// Whether image `image` of the batch keeps the residual branch that is the run's `branch`-th (two a block, in the
    /// order of computing), which is dropped with chance `drop_path`. Called for every image where that isn't 0; none
    /// keeps all.
    std::function<bool(std::int32_t image, std::int32_t branch, float drop_path)> keeps_branch;
    /// By parameter id: which parameters get a gradient; empty for all.
    std::vector<bool> trainable;
    /// Keep the inputs of a block's halves alone and compute the rest again in `backward`: less memory, more time.
    bool recompute_sublayers = false;
  };
  /// Begins a run like `start`, whose operations are recorded for `backward`. What a backward needs is kept until then,
  /// or until the next start.
  void start_training(std::int32_t batch, Training training);
  /// From d loss / d `value` (all images' floats) to d loss / d parameter, summed over the images: written to
  /// `gradients` for each trainable parameter, the others' stay as they are. Ends the recording.
  /// The sum's order depends on shapes alone: the same bits on any number of threads.
  void backward(const ops::Value& value, std::span<const float> gradient, ParameterVector& gradients);
  /// Makes `backward` keep the gradient of `value`, made in this training run, for `gradient_of`. An input's is only
  /// computed when it is watched.
  void retain_grad(const ops::Value& value);
  /// What `backward` left for a watched value, all images' floats; valid until the next start.
  std::span<const float> gradient_of(const ops::Value& value) const;

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
  void tap(std::string_view name, const ops::Value& value) override;
  void retain(std::int32_t id) override;
  void release(std::int32_t id) noexcept override;

  struct State;  ///< the backend's own: state.h

 private:
  std::unique_ptr<State> state_;
};

}  // namespace gcvit::native
