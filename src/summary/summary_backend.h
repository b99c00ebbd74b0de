// SPDX-License-Identifier: Apache-2.0
// The backend without data: follows shapes through a model's forward and counts. Its outcome is the layer table that
// `gcvit info` prints, as Keras' `summary()` does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ops/backend.h"

namespace gcvit::summary {

/// One layer (an outermost `ops::Scope`) of a model.
struct Layer {
  std::string name;   ///< "levels.0"
  std::string type;   ///< "Level"
  ops::Shape output;  ///< of one image
  /// A level's map before its downsample (what is tapped as "level1"); none in other layers.
  std::optional<ops::Shape> before_downsample;
  std::int64_t parameters = 0;  ///< each counted once, where it is used first
  std::int64_t macs = 0;        ///< multiply-adds of one image: linear layers, convolutions, q k^T and a v
};

/// Run `model.forward(backend, backend.input(shape))` on it, then read `layers()`. One model a backend.
class SummaryBackend final : public ops::Backend {
 public:
  ops::Value input(const ops::Shape& shape) { return make_value(shape); }

  const std::vector<Layer>& layers() const { return layers_; }
  /// Over the whole model, in a layer or not.
  std::int64_t parameters() const { return parameters_; }
  std::int64_t macs() const { return macs_; }

  /// Floats of the buffers that one image's values take when every operation keeps its result, and buffers are handed
  /// out again once the last handle on a value has gone (native::ValueStore).
  std::int64_t buffer_floats() const { return buffer_floats_; }
  /// Floats of all values of one image, as if each were kept.
  std::int64_t value_floats() const { return value_floats_; }
  /// A sub-layer of a block: its map, and the floats of what lies between its input and its output.
  struct Sublayer {
    ops::Shape map;
    std::int64_t inner_floats = 0;
  };
  const std::vector<Sublayer>& sublayers() const { return sublayers_; }

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

  void enter_scope(std::string_view name, std::string_view type) override;
  void leave_scope() override;
  void tap(std::string_view name, const ops::Value& value) override;
  void retain(std::int32_t id) override { ++buffers_[static_cast<std::size_t>(id)].handles; }
  void release(std::int32_t id) noexcept override { --buffers_[static_cast<std::size_t>(id)].handles; }

 private:
  struct Buffer {
    std::int64_t floats = 0;
    std::int32_t handles = 0;
  };
  template <typename Compute>
  ops::Value compute_sublayer(const ops::Value& x, const Compute& compute);

  ops::Value make_value(const ops::Shape& shape);
  void count(const ops::Parameter& parameter);
  void count_macs(std::int64_t macs);
  Layer* open_layer() { return scopes_ > 0 ? &layers_.back() : nullptr; }

  std::vector<Layer> layers_;
  int scopes_ = 0;  ///< open ones; inner scopes belong to the outermost
  std::unordered_set<std::int32_t> counted_;
  std::int64_t parameters_ = 0;
  std::int64_t macs_ = 0;
  std::vector<Buffer> buffers_;
  std::vector<Sublayer> sublayers_;
  std::int64_t buffer_floats_ = 0;
  std::int64_t value_floats_ = 0;
};

}  // namespace gcvit::summary
