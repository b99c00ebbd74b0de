// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "ops/parameter.h"
#include "ops/value.h"

namespace gcvit::ops {

enum class Activation : std::uint8_t {
  kNone,
  kGelu,     ///< exact: x/2 (1 + erf(x / sqrt 2))
  kSigmoid,  ///< 1 / (1 + exp(-x))
};

/// What lies outside the map for max pooling: minus infinity in PyTorch, zero in Keras' GCViT.
enum class PoolPadding : std::uint8_t { kNegativeInfinity, kZero };

/// Height and width of an attention window in positions of its map.
struct Window {
  std::int32_t height = 0;
  std::int32_t width = 0;

  std::int32_t tokens() const { return height * width; }
  bool operator==(const Window&) const = default;
};

/// The end of a residual branch: y = input + drop_path(gamma * branch).
struct Residual {
  const Value& input;
  const Parameter* gamma = nullptr;  ///< layer scale, one factor a channel
  float drop_path = 0.0f;            ///< chance that an image's branch is dropped; only training drops
};

/// What a linear layer does to its sums before they are stored.
struct Epilogue {
  Activation activation = Activation::kNone;
  const Residual* residual = nullptr;
};

/// Windowed multi-head self-attention and its residual: x + gamma * proj(attention(qkv(LN(x)))). Positions that pad the
/// map to whole windows have zeros for LN(x) and take part in attention as all others do.
struct AttentionSublayer {
  const LayerNorm& norm;
  const Linear& qkv;  ///< C -> 3C as [3][heads][head_dim], or C -> 2C (k, v) when `global_query` is set
  const Parameter& bias_table;  ///< [(2h-1)(2w-1), heads]
  const Linear& proj;
  std::int32_t heads;
  Window window;
  const Value* global_query = nullptr;  ///< h x w x C: the image's own query, shared by all its windows
  const Parameter* gamma = nullptr;
  float drop_path = 0.0f;
};

/// Multi-layer perceptron and its residual: x + gamma * fc2(GELU(fc1(LN(x)))).
struct MlpSublayer {
  const LayerNorm& norm;
  const Linear& fc1;
  const Linear& fc2;
  const Parameter* gamma = nullptr;
  float drop_path = 0.0f;
};

/// One interpretation of GCViT's operations. The model calls these and nothing else, so a backend is whole when it
/// has given each a meaning: numbers (native), shapes and counts (summary), graph nodes (onnx).
///
/// Shapes are one image's; every operation acts on each image of the batch alone. A shape that an operation can't
/// take throws `Error`; the rules stand in ops/shape.h and are the same for every backend.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// H x W x C -> H/2 x W/2 x C'; kernel 3, stride 2, padding 1 on every side; H and W even.
  virtual Value convolution3x3_stride2(const Value& x, const Conv3x3& convolution) = 0;
  /// H x W x C -> H x W x C; kernel 3, stride 1, padding 1; each channel by itself.
  virtual Value depthwise_convolution3x3(const Value& x, const Conv3x3& convolution, Activation activation) = 0;
  /// H x W x C -> H x W x C' at every position.
  virtual Value linear(const Value& x, const Linear& linear, const Epilogue& epilogue) = 0;
  /// Over the channels of every position: (x - mean) / sqrt(variance + 1e-5) * weight + bias.
  virtual Value layer_norm(const Value& x, const LayerNorm& norm) = 0;
  /// H x W x C -> H/2 x W/2 x C; kernel 3, stride 2, padding 1; H and W even.
  virtual Value max_pool3x3_stride2(const Value& x, PoolPadding padding) = 0;
  /// H x W x C -> 1 x 1 x C: the mean over positions.
  virtual Value global_average_pool(const Value& x) = 0;
  /// H x W x C times 1 x 1 x C: every position's channels are scaled alike.
  virtual Value scale_channels(const Value& x, const Value& scale) = 0;
  /// H x W x 3C (queries, keys, values) or, with a `global_query` (h x w x C), H x W x 2C (keys, values) -> H x W x C:
  /// softmax(q k^T / sqrt(head_dim) + bias) v inside each h x w window and head. H, W are multiples of h, w.
  virtual Value window_attention(const Value& qkv, const Value* global_query, const Parameter& bias_table,
                                 std::int32_t heads, Window window) = 0;
  /// H x W x C -> height x width x C, no side smaller: zeros at the bottom and on the right.
  virtual Value pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) = 0;
  /// H x W x C -> height x width x C, no side larger: what is in the top left corner.
  virtual Value crop(const Value& x, std::int32_t height, std::int32_t width) = 0;
  /// H x W x C -> height x width x C, each channel by itself: cubic convolution with a = -0.75, half-pixel centres, no
  /// antialiasing, the edge repeated beyond the border (base/bicubic.h); PyTorch's interpolate(mode="bicubic").
  virtual Value resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) = 0;

  /// The attention sub-layer of a block. The default is its plain composition of the operations above. A map that isn't made
  /// of whole windows is padded after the normalisation, and what attention makes of the padding is cropped away.
  virtual Value attention_sublayer(const Value& x, const AttentionSublayer& sublayer);
  /// The MLP sub-layer of a block. The default is its plain composition of the operations above.
  virtual Value mlp_sublayer(const Value& x, const MlpSublayer& sublayer);

  /// `Scope` calls these around a module: `name` is its canonical prefix ("levels.0"), `type` its class ("Level").
  virtual void enter_scope(std::string_view name, std::string_view type);
  virtual void leave_scope();
  /// Offers a value under a public name: "level1".."level4" (before the downsample), "features" (after the final
  /// norm), "pooled", "logits".
  virtual void tap(std::string_view name, const Value& value);

  /// One more, one fewer handle on value `id`; at none its buffer is free.
  virtual void retain(std::int32_t id) = 0;
  virtual void release(std::int32_t id) noexcept = 0;
};

/// Marks what a module's forward does as that module's, until the end of the block.
class Scope {
 public:
  Scope(Backend& backend, std::string_view name, std::string_view type) : backend_(backend) {
    backend_.enter_scope(name, type);
  }
  ~Scope() { backend_.leave_scope(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Backend& backend_;
};

}  // namespace gcvit::ops
