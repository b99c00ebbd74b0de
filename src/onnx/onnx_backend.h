// SPDX-License-Identifier: Apache-2.0
// The backend that records an ONNX graph while a model's forward runs on it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "ops/backend.h"

namespace gcvit::onnx {

/// Opsets that a graph can be written for. From 17 on LayerNormalization is one node; nothing newer makes it faster.
inline constexpr std::int32_t kOldestOpset = 13;
inline constexpr std::int32_t kDefaultOpset = 17;
inline constexpr std::int32_t kNewestOpset = 25;

struct GraphOptions {
  std::int32_t opset = kDefaultOpset;
  /// In bytes: protobuf, and with it an ONNX file, ends at 2 GiB.
  std::int64_t largest_file = std::numeric_limits<std::int32_t>::max();
  /// By an int8 weight's name: its layer's input is rounded to int8 times this, by a QuantizeLinear and a DequantizeLinear.
  std::map<std::string, float> input_scales = {};
};

/// What the file says about its graph.
struct GraphDescription {
  std::string name;  ///< of the graph: "gcvit_xxtiny"
  std::string text = {};  ///< for people
  std::map<std::string, std::string> metadata = {};  ///< metadata_props
};

/// Run `backend.output("logits", model.forward(backend, backend.input("images", shape)))` on it, then `write`. One
/// forward a backend. The batch size stays open: it is the axis "N" of the input and the output.
///
/// Images and all that convolves are NCHW. Between convolutions a map is a matrix of tokens, [N * H * W, C], whose rows
/// go window by window where windows attend: blocks then need no partition and no reverse. Each form is made where it
/// is first asked for, and once.
///
/// Constants are folded: bias tables into [heads, tokens, tokens], the attention's scale into the weights of its
/// queries (of its keys, where the queries are global), layer scale into the layer before it.
///
/// Parameters are f32, but for the weights of linear layers and convolutions, which may be int8: such a weight stays int8, with a
/// DequantizeLinear behind it whose scales, one an output channel, take what is folded in.
class OnnxBackend final : public ops::Backend {
 public:
  /// Throws `Error` for an opset out of range.
  explicit OnnxBackend(const GraphOptions& options = {});
  ~OnnxBackend() override;

  /// The graph's input, float32 [N, C, H, W].
  ops::Value input(const std::string& name, const ops::Shape& shape);
  /// Makes a vector (1 x 1 x C) the graph's output, float32 [N, C].
  void output(const std::string& name, const ops::Value& value);

  /// Writes the graph, checked by ONNX's own checker, whole or not at all. Ends the recording. Throws `Error` when the
  /// file can't be written, would pass `largest_file`, or breaks a rule of ONNX.
  void write(const std::string& path, const GraphDescription& description);
  /// The bytes of that file.
  std::string serialise(const GraphDescription& description);

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
  void retain(std::int32_t) override {}
  void release(std::int32_t) noexcept override {}

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit::onnx
