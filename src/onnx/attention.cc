// SPDX-License-Identifier: Apache-2.0
// Attention in windows. Queries, keys and values are layers of their own, so that nothing is split afterwards.
#include <cmath>

#include "model/tensor_table.h"
#include "onnx/names.h"
#include "onnx/state.h"
#include "ops/shape.h"
#include "base/error.h"

namespace gcvit::onnx {

using ops::Shape;
using ops::Value;
using ops::Window;

namespace {

/// A larger bias is gathered from its table when the graph is loaded: written out, those of 384 and 512 images would
/// outgrow the weights, and the file.
constexpr std::int64_t kLargestBias = 8 << 20;  // bytes
/// Of an image of 1024 x 1024, 64 x 64: beyond it the rows of all pairs alone would be hundreds of megabytes.
constexpr std::int32_t kLargestWindow = 4096;

/// The rows of the bias table for query `q` of a window, one a key.
void relative_positions(Window window, std::int32_t q, std::span<std::int32_t> rows) {
  for (std::int32_t k = 0; k < window.tokens(); ++k) {
    const std::int32_t down = q / window.width - k / window.width + window.height - 1;
    const std::int32_t across = q % window.width - k % window.width + window.width - 1;
    rows[static_cast<std::size_t>(k)] = down * (2 * window.width - 1) + across;
  }
}

float scale_of(std::int64_t head_dim) { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

}  // namespace

std::string OnnxBackend::State::bias(const Attention& attention) {
  const ops::Parameter& table = attention.bias_table;
  const std::span<const float> values = values_of(table);
  const Window window = attention.window;
  const std::int32_t tokens = window.tokens();
  const std::int64_t heads = attention.heads;
  const auto size = static_cast<std::size_t>(tokens);
  const std::string name = table.name.substr(0, table.name.rfind('_'));  // "...relative_position_bias"
  if (tokens > kLargestWindow) {
    fail("[onnx] \"{}\": expected windows of at most {} positions, found {}x{}", table.name, kLargestWindow,
         window.height, window.width);
  }
  if (heads * tokens * tokens * static_cast<std::int64_t>(sizeof(float)) <= kLargestBias) {
    return graph.initialiser(name, {1, heads, tokens, tokens}, [&](const Graph::Append& append) {
      std::vector<std::int32_t> rows(size);
      std::vector<float> biases(size);
      for (std::int64_t head = 0; head < heads; ++head) {
        for (std::int32_t q = 0; q < tokens; ++q) {
          relative_positions(window, q, rows);
          for (std::size_t k = 0; k < size; ++k) biases[k] = values[static_cast<std::size_t>(rows[k] * heads + head)];
          append(biases);
        }
      }
    });
  }
  const std::int64_t table_rows = table.dims[0];
  const std::string by_head =
      graph.initialiser(name + "_by_head", {1, heads, table_rows}, [&](const Graph::Append& append) {
        std::vector<float> of_head(static_cast<std::size_t>(table_rows));
        for (std::int64_t head = 0; head < heads; ++head) {
          for (std::int64_t row = 0; row < table_rows; ++row) {
            of_head[static_cast<std::size_t>(row)] = values[static_cast<std::size_t>(row * heads + head)];
          }
          append(of_head);
        }
      });
  std::vector<std::int32_t> rows(size * size);
  for (std::int32_t q = 0; q < tokens; ++q) {
    relative_positions(window, q, std::span(rows).subspan(static_cast<std::size_t>(q) * size, size));
  }
  const std::string index =
      graph.indices(fmt::format("relative_position_index_{}x{}", window.height, window.width), {tokens, tokens}, rows);
  return graph.add("Gather", attention.layer + "/bias", {by_head, index}, {}, {{"axis", std::int64_t{2}}});
}

std::string OnnxBackend::State::global_queries(const Attention& attention) {
  const Entry& from = entry(*attention.global_query);
  if (!from.queries.empty()) return from.queries;
  const Shape shape = from.shape;
  const std::int64_t tokens = shape.positions();
  const std::int64_t heads = attention.heads;
  const std::int64_t head_dim = shape.channels / heads;
  const std::string layer = below(from.layer, "queries");
  // Not the last two axes swapped, which ONNX Runtime would move into each product that reads the queries.
  const std::string parted =
      reshape(map(*attention.global_query), layer + "/heads", {1, heads, head_dim, shape.height, shape.width});
  const std::string moved =
      graph.add("Transpose", layer + "/transpose", {parted}, {1, heads, shape.height, shape.width, head_dim},
                {{"perm", std::vector<std::int64_t>{0, 1, 3, 4, 2}}});
  const bool one_window = attention.shape.positions() == tokens;
  const Axes axes = one_window ? Axes{1, heads, tokens, head_dim} : Axes{1, 1, heads, tokens, head_dim};
  return entry(*attention.global_query).queries = reshape(moved, layer, axes);
}

std::string OnnxBackend::State::attend(const Attention& attention) {
  const std::string& layer = attention.layer;
  const std::int64_t tokens = attention.window.tokens();
  const std::int64_t windows = attention.shape.positions() / tokens;  // of an image
  const std::int64_t heads = attention.heads;
  const std::int64_t channels = attention.shape.channels;
  const std::int64_t head_dim = channels / heads;
  // Windows have an axis of their own only where they share their image's query.
  const bool shared_query = attention.global_query != nullptr && windows > 1;
  const auto axes = [&](std::int64_t a, std::int64_t b, std::int64_t c) {
    return shared_query ? Axes{1, windows, a, b, c} : Axes{windows, a, b, c};
  };
  const auto order = [&](std::int64_t a, std::int64_t b, std::int64_t c) {
    return shared_query ? std::vector<std::int64_t>{0, 1, a + 1, b + 1, c + 1} : std::vector<std::int64_t>{0, a, b, c};
  };
  const auto by_head = [&](std::string_view name, const std::string& values, bool transposed) {
    const std::string parted = reshape(values, below(layer, name) + "/heads", axes(tokens, heads, head_dim));
    return graph.add("Transpose", below(layer, name) + "/transpose", {parted},
                     transposed ? axes(heads, head_dim, tokens) : axes(heads, tokens, head_dim),
                     {{"perm", transposed ? order(2, 3, 1) : order(2, 1, 3)}});
  };
  const std::string q =
      attention.global_query != nullptr ? global_queries(attention) : by_head("q", attention.q, false);
  const std::string k = by_head("k", attention.k, true);
  const std::string v = by_head("v", attention.v, false);
  const std::string scores = graph.add("MatMul", layer + "/scores", {q, k}, axes(heads, tokens, tokens));
  const std::string biased =
      graph.add("Add", layer + "/add_bias", {scores, bias(attention)}, axes(heads, tokens, tokens));
  const std::string shares =
      graph.add("Softmax", layer + "/softmax", {biased}, axes(heads, tokens, tokens), {{"axis", std::int64_t{-1}}});
  const std::string mixed = graph.add("MatMul", layer + "/mix", {shares, v}, axes(heads, tokens, head_dim));
  const std::string joined =
      graph.add("Transpose", layer + "/join", {mixed}, axes(tokens, heads, head_dim), {{"perm", order(2, 1, 3)}});
  return reshape(joined, layer + "/join/tokens", {attention.shape.positions(), channels});
}

std::string OnnxBackend::State::linear_part(const std::string& x, const ops::Linear& linear, const Part& part,
                                            std::int64_t positions) {
  const std::string layer = below(parent_of(model::readable_layer(linear.weight.name)), part.name);
  const std::int64_t outputs = linear.weight.dims[0] / part.count;
  const std::vector<std::string> inputs = operands(
      {x, {positions, linear.weight.dims[1]}}, linear.weight, linear.bias,
      {.suffix = fmt::format("_{}", part.name), .first = part.index * outputs, .count = outputs, .factor = part.factor},
      layer);
  return graph.add("Gemm", layer, inputs, {positions, outputs}, {{"transB", std::int64_t{1}}});
}

Value OnnxBackend::attention_sublayer(const Value& x, const ops::AttentionSublayer& sublayer) {
  const Shape shape = ops::attention_sublayer_shape(x.shape(), sublayer);
  const Shape whole = ops::whole_windows(shape, sublayer.window);
  const bool padded = whole != shape;
  const std::int64_t positions = whole.positions();
  const std::string layer = parent_of(model::readable_layer(sublayer.qkv.weight.name));

  if (!padded) state_->tokens(x, sublayer.window);  // the order that all that follows goes on with
  Value normalized = layer_norm(x, sublayer.norm);
  if (padded) normalized = pad_bottom_right(normalized, whole.height, whole.width);
  const std::string from = state_->tokens(normalized, sublayer.window);
  const float scale = scale_of(shape.channels / sublayer.heads);
  State::Attention attention{.layer = layer,
                             .q = "",
                             .k = "",
                             .v = "",
                             .global_query = sublayer.global_query,
                             .bias_table = sublayer.bias_table,
                             .shape = whole,
                             .heads = sublayer.heads,
                             .window = sublayer.window};
  // q's layer takes the scale; a global query comes from elsewhere, so there k's does.
  if (sublayer.global_query == nullptr) {
    attention.q = state_->linear_part(from, sublayer.qkv, {"q", 0, 3, scale}, positions);
    attention.k = state_->linear_part(from, sublayer.qkv, {"k", 1, 3, 1.0f}, positions);
    attention.v = state_->linear_part(from, sublayer.qkv, {"v", 2, 3, 1.0f}, positions);
  } else {
    attention.k = state_->linear_part(from, sublayer.qkv, {"k", 0, 2, scale}, positions);
    attention.v = state_->linear_part(from, sublayer.qkv, {"v", 1, 2, 1.0f}, positions);
  }
  Value attended = state_->make_value(
      *this, {.shape = whole, .layer = layer, .tokens = Tokens{state_->attend(attention), sublayer.window}});
  if (padded) attended = crop(attended, shape.height, shape.width);
  const ops::Residual residual{x, sublayer.gamma, sublayer.drop_path};
  return linear(attended, sublayer.proj, {.residual = &residual});
}

Value OnnxBackend::window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                                    std::int32_t heads, Window window) {
  const Shape* query_shape = global_query == nullptr ? nullptr : &global_query->shape();
  const Shape shape = ops::window_attention_shape(qkv.shape(), query_shape, bias_table, heads, window);
  const Axes axes{shape.positions(), shape.channels};
  const std::string layer = model::readable_layer(bias_table.name);
  const std::string from = state_->tokens(qkv, window);
  const std::int64_t parts = global_query == nullptr ? 3 : 2;
  const auto part = [&](std::string_view name, std::int64_t index) {
    const std::string bounds[] = {state_->graph.integers("start", {index * shape.channels}),
                                  state_->graph.integers("end", {(index + 1) * shape.channels}),
                                  state_->graph.integers("axis", {1})};
    return state_->graph.add("Slice", below(layer, name), {from, bounds[0], bounds[1], bounds[2]}, axes);
  };
  const std::string k = state_->graph.add(
      "Mul", below(layer, "scaled_k"),
      {part("k", parts - 2),
       state_->graph.scalar(fmt::format("scale_{}", shape.channels / heads), scale_of(shape.channels / heads))},
      axes);
  const std::string attended = state_->attend({.layer = layer,
                                               .q = global_query == nullptr ? part("q", 0) : "",
                                               .k = k,
                                               .v = part("v", parts - 1),
                                               .global_query = global_query,
                                               .bias_table = bias_table,
                                               .shape = shape,
                                               .heads = heads,
                                               .window = window});
  return state_->make_value(*this, {.shape = shape, .layer = layer, .tokens = Tokens{attended, window}});
}

}  // namespace gcvit::onnx
