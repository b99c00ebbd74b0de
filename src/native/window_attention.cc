// SPDX-License-Identifier: Apache-2.0
// Windowed attention as an operation of its own, and its backward: a window's head is a task.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "native/state.h"
#include "native/window_grid.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

namespace {

/// Where the channels of one head lie, for a token of a window.
struct HeadLayout {
  HeadLayout(const Shape& map, ops::Window window, std::int32_t head_count, bool has_global_query)
      : grid(map, window),
        heads(head_count),
        head_dim(map.channels / head_count),
        channels(map.channels),
        global_query(has_global_query) {}

  std::int32_t tokens() const { return grid.window.tokens(); }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }
  /// In a map of the attention's output.
  std::int64_t output(std::int64_t window, std::int32_t head, std::int32_t token) const {
    return grid.offset(window, token, channels) + std::int64_t{head} * head_dim;
  }
  /// In a map of queries, keys and values (or of keys and values, where the query is global): its first part.
  std::int64_t first_part(std::int64_t window, std::int32_t head, std::int32_t token) const {
    return grid.offset(window, token, (global_query ? 2 : 3) * channels) + std::int64_t{head} * head_dim;
  }
  std::int64_t key(std::int64_t window, std::int32_t head, std::int32_t token) const {
    return first_part(window, head, token) + (global_query ? 0 : channels);
  }
  /// In the global query of the `index`-th image, or of the `index`-th window where each has one.
  std::int64_t query(std::int64_t index, std::int32_t head, std::int32_t token) const {
    return (index * tokens() + token) * channels + std::int64_t{head} * head_dim;
  }

  WindowGrid grid;
  std::int32_t heads;
  std::int32_t head_dim;
  std::int64_t channels;
  bool global_query;
};

/// From the gradient of attention's output to those of queries, keys, values and the bias table. Window by window and
/// head by head; for what windows share (the bias table, an image's global query) each writes a part of its own, and
/// these are added up in the order of the windows.
struct AttentionBackward {
  Value qkv;
  Value query;  ///< the global one, or empty
  const ops::Parameter& bias_table;
  HeadLayout layout;
  std::int32_t qkv_node;  ///< -1 when it needs no gradient
  std::int32_t query_node;

  void run(NativeBackend& backend, NativeBackend::State& state, const Value& gradient) const {
    const std::int64_t windows = state.batch * layout.grid.per_image;
    const std::int64_t table_size = bias_table.dims[0];
    const Value dqkv = state.make_value(backend, qkv.shape());
    const Value dqueries = query.empty() ? Value() : state.make_value(backend, layout.grid.shape);  // by window
    const Maps maps{.qkv = state.data(qkv),
                    .queries = query.empty() ? nullptr : state.data(query),
                    .dy = state.data(gradient),
                    .dqkv = state.values.data(dqkv.id()),
                    .dqueries = query.empty() ? nullptr : state.values.data(dqueries.id()),
                    .bias = &state.parameters.bias_table(bias_table, layout.grid.window)};
    float* tables = state.trains(bias_table) ? state.partial_sums(windows * layout.heads * table_size) : nullptr;
    state.parallel_for(
        windows * layout.heads, kernels::attention_backward_scratch_size(layout.tokens(), layout.head_dim),
        std::int64_t{7} * layout.tokens(), [&](std::int64_t task, Scratch& scratch) {
          float* table = tables == nullptr ? nullptr : tables + task * table_size;
          if (table != nullptr) std::fill_n(table, table_size, 0.0f);
          run_head(maps, task / layout.heads, static_cast<std::int32_t>(task % layout.heads), table, scratch);
        });
    if (tables != nullptr) {
      std::vector<float> by_head(static_cast<std::size_t>(layout.heads * table_size));
      state.add_partial_sums(tables, windows, layout.heads * table_size, by_head.data());
      state.add_table_gradient(bias_table, layout.heads, by_head.data());
    }
    if (query_node >= 0) state.add_query_gradient(backend, query_node, maps.dqueries, layout.grid.per_image);
    if (qkv_node >= 0) state.add_gradient(qkv_node, dqkv);
  }

 private:
  struct Maps {
    const float* qkv;
    const float* queries;  ///< null for local attention, as `dqueries`
    const float* dy;
    float* dqkv;
    float* dqueries;
    const kernels::PackedBias* bias;
  };

  /// One head of one window; adds to its part of the table's gradient unless that is null.
  void run_head(const Maps& maps, std::int64_t window, std::int32_t head, float* table, Scratch& scratch) const {
    const std::int32_t tokens = layout.tokens();
    const float** q = scratch.pointers(tokens);
    const float** k = scratch.pointers(tokens);
    const float** v = scratch.pointers(tokens);
    const float** dout = scratch.pointers(tokens);
    float** dq = scratch.mutable_pointers(tokens);
    float** dk = scratch.mutable_pointers(tokens);
    float** dv = scratch.mutable_pointers(tokens);
    for (std::int32_t t = 0; t < tokens; ++t) {
      k[t] = maps.qkv + layout.key(window, head, t);
      v[t] = k[t] + layout.channels;
      dk[t] = maps.dqkv + layout.key(window, head, t);
      dv[t] = dk[t] + layout.channels;
      dout[t] = maps.dy + layout.output(window, head, t);
      if (maps.queries == nullptr) {
        q[t] = maps.qkv + layout.first_part(window, head, t);
        dq[t] = maps.dqkv + layout.first_part(window, head, t);
      } else {
        q[t] = maps.queries + layout.query(window / layout.grid.per_image, head, t);
        dq[t] = maps.dqueries + layout.query(window, head, t);
      }
    }
    kernels::attention_backward(
        {.q = q,
         .k = k,
         .v = v,
         .out_gradient = dout,
         .q_gradient = dq,
         .k_gradient = dk,
         .v_gradient = dv,
         .bias = maps.bias,
         .bias_gradient = table,
         .head = head,
         .head_dim = layout.head_dim,
         .scale = layout.scale(),
         .scratch = scratch.floats(kernels::attention_backward_scratch_size(tokens, layout.head_dim))});
  }
};

}  // namespace

Value NativeBackend::window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                                      std::int32_t heads, ops::Window window) {
  const Shape* query_shape = global_query == nullptr ? nullptr : &global_query->shape();
  const Shape shape = ops::window_attention_shape(qkv.shape(), query_shape, bias_table, heads, window);
  const Value y = state_->make_value(*this, shape);
  const HeadLayout layout(shape, window, heads, global_query != nullptr);
  const kernels::PackedBias& bias = state_->parameters.bias_table(bias_table, window);
  const float* from = state_->data(qkv);
  const float* queries = global_query == nullptr ? nullptr : state_->data(*global_query);
  float* to = state_->values.data(y.id());
  const std::int32_t tokens = window.tokens();
  state_->parallel_for(
      state_->batch * layout.grid.per_image * heads, kernels::attention_scratch_size(tokens, layout.head_dim),
      4 * tokens, [&](std::int64_t task, Scratch& scratch) {
        const std::int64_t index = task / heads;
        const auto head = static_cast<std::int32_t>(task % heads);
        const float** q = scratch.pointers(tokens);
        const float** k = scratch.pointers(tokens);
        const float** v = scratch.pointers(tokens);
        float** out = scratch.mutable_pointers(tokens);
        for (std::int32_t t = 0; t < tokens; ++t) {
          q[t] = queries == nullptr ? from + layout.first_part(index, head, t)
                                    : queries + layout.query(index / layout.grid.per_image, head, t);
          k[t] = from + layout.key(index, head, t);
          v[t] = k[t] + layout.channels;
          out[t] = to + layout.output(index, head, t);
        }
        kernels::attention({.q = q,
                            .k = k,
                            .v = v,
                            .out = out,
                            .bias = &bias,
                            .head = head,
                            .head_dim = layout.head_dim,
                            .scale = layout.scale(),
                            .scratch = scratch.floats(kernels::attention_scratch_size(tokens, layout.head_dim))});
      });
  const bool needs_query = global_query != nullptr && state_->needs_gradient(*global_query);
  if (state_->tape.recording() && (state_->needs_gradient(qkv) || needs_query || state_->trains(bias_table))) {
    AttentionBackward backward{.qkv = qkv,
                               .query = global_query == nullptr ? Value() : *global_query,
                               .bias_table = bias_table,
                               .layout = layout,
                               .qkv_node = state_->needs_gradient(qkv) ? state_->node(qkv) : -1,
                               .query_node = needs_query ? state_->node(*global_query) : -1};
    state_->record(
        y, [this, backward = std::move(backward)](const Value& gradient) { backward.run(*this, *state_, gradient); });
  }
  return y;
}

}  // namespace gcvit::native
