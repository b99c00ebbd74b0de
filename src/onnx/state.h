// SPDX-License-Identifier: Apache-2.0
// What the backend keeps: the graph, and for each value the forms it has in it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <span>
#include <vector>

#include "onnx/graph.h"
#include "onnx/onnx_backend.h"

namespace gcvit::onnx {

/// A value as [N * H * W, C], its rows going window by window, each window and the windows row by row.
struct Tokens {
  std::string name;
  ops::Window window;
};

struct Entry {
  ops::Shape shape;
  std::string layer;                  ///< the layer that made it, for the names of what follows
  std::string map = {};               ///< its name as [N, C, H, W], or ""
  std::optional<Tokens> tokens = {};  ///< the form in which it was made or asked for last
  std::string queries = {};           ///< of a global query: [N, (1,) heads, tokens, head_dim], or ""
};

struct OnnxBackend::State {
  explicit State(const GraphOptions& graph_options) : options(graph_options), graph(graph_options.largest_file) {}

  GraphOptions options;
  Graph graph;
  std::vector<Entry> entries;
  std::map<std::string, std::string> rounded_inputs;  ///< by weight and value

  ops::Value make_value(OnnxBackend& backend, Entry entry);
  Entry& entry(const ops::Value& value) { return entries.at(static_cast<std::size_t>(value.id())); }

  /// The value in a form, converted on first use.
  std::string map(const ops::Value& value);
  std::string tokens(const ops::Value& value, ops::Window window);
  /// The tokens in whatever order there is, row by row when there is none.
  Tokens tokens(const ops::Value& value);

  /// Tokens row by row from the map.
  std::string rows_of_map(const ops::Value& value);
  /// The value's tokens from windows to rows, or from rows to windows.
  std::string reorder(const ops::Value& value, ops::Window window, bool to_rows);
  /// The value as [N, H, W, C].
  std::string channels_last(const ops::Value& value, const std::string& name);
  /// The same elements under other axes.
  std::string reshape(const std::string& x, const std::string& name, const Axes& axes);

  /// A parameter as it is.
  std::string parameter(const ops::Parameter& parameter);
  /// Some outputs of a layer, each times a factor.
  struct Outputs {
    std::string suffix = {};  ///< of the names of their weight and bias; "" when they are the layer's own
    std::int64_t first = 0;
    std::int64_t count = 0;
    float factor = 1.0f;
    std::span<const float> factors = {};  ///< one an output, instead of `factor`

    float factor_of(std::int64_t output) const {
      return factors.empty() ? factor : factors[static_cast<std::size_t>(output)];
    }
  };
  /// All outputs of a weight, times `gamma`'s values when there is one.
  static Outputs outputs_of(const ops::Parameter& weight, const ops::Parameter* gamma = nullptr);
  struct Input {
    std::string name;
    Axes axes;
  };
  /// The inputs of node `layer`, which makes those outputs: `x`, the weight and the bias. An int8 weight stays int8, behind a
  /// DequantizeLinear.
  std::vector<std::string> operands(const Input& x, const ops::Parameter& weight,
                                    const std::optional<ops::Parameter>& bias, const Outputs& outputs,
                                    const std::string& layer);
  std::string floats(const ops::Parameter& parameter, const Outputs& outputs);
  struct Integers {
    std::vector<std::int8_t> values;
    std::vector<float> scales;  ///< one an output
  };
  static Integers integers_of(const ops::Parameter& weight, const Outputs& outputs);
  std::string dequantised(const ops::Parameter& weight, const Outputs& outputs, const Integers& integers,
                          const std::string& layer);
  /// `x` rounded to int8 times `scale`, once for all that this weight's parts make of it.
  std::string rounded_input(const Input& x, const ops::Parameter& weight, float scale);
  /// The bias as int32 in units of the products, as runtimes want it that compute in integers; floats where it doesn't fit.
  std::string rounded_bias(const ops::Parameter& bias, const Outputs& outputs, std::span<const float> weight_scales,
                           float input_scale, const std::string& layer);
  /// The outputs of a linear layer in equal parts: one of them, times `factor`.
  struct Part {
    std::string_view name;  ///< "q"
    std::int64_t index;
    std::int64_t count;
    float factor;
  };
  /// That part as a layer of its own, applied to tokens.
  std::string linear_part(const std::string& x, const ops::Linear& linear, const Part& part, std::int64_t positions);

  std::string activate(const std::string& x, const std::string& layer, ops::Activation activation, const Axes& axes);
  /// Normalises the last axis.
  std::string normalise(const std::string& x, const ops::LayerNorm& norm, const Axes& axes);

  /// softmax(q k^T + bias) v, of tokens in windows' order. `q` is empty when the queries are `global_query`'s; the scale
  /// is in q or k already.
  struct Attention {
    std::string layer;  ///< "level1/block0/attention"
    std::string q;
    std::string k;
    std::string v;
    const ops::Value* global_query;
    const ops::Parameter& bias_table;
    ops::Shape shape;  ///< of q, k and v, as maps
    std::int32_t heads;
    ops::Window window;
  };
  std::string attend(const Attention& attention);
  /// The bias between the tokens of a window, [1, heads, tokens, tokens].
  std::string bias(const Attention& attention);
  /// The map of a global query as queries, one set an image.
  std::string global_queries(const Attention& attention);

  ::onnx::ModelProto finish(const GraphDescription& description);
};

/// The floats of a parameter; throws `Error` when it has none.
std::span<const float> values_of(const ops::Parameter& parameter);

}  // namespace gcvit::onnx
