// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/rows.h"
#include "native/sublayer_backward.h"
#include "native/sublayer_gradients.h"
#include "native/window_grid.h"

namespace gcvit::native {

using ops::Value;

namespace {

/// One backward of the attention sub-layer, ready to be computed tile by tile. A tile is a window, or several small ones.
struct AttentionTileLoop {
  AttentionTileLoop(NativeBackend::State& state, const AttentionSublayerBackward& backward, float* query_gradients)
      : sublayer(backward.sublayer),
        branch(backward.branch),
        grid(backward.x.shape(), sublayer.window),
        channels(backward.x.shape().channels),
        tokens(sublayer.window.tokens()),
        head_dim(channels / sublayer.heads),
        windows(branch.rows(state.batch, grid.per_image)),
        most_windows(std::max(1, 48 / tokens)),
        qkv(layout, sublayer.qkv, state.parameters.precision(), state.trains(sublayer.qkv)),
        proj(layout, sublayer.proj, state.parameters.precision(), needs_sums(state, sublayer.proj, sublayer.gamma)),
        norm(layout, channels, state.trains(sublayer.norm)),
        table_size(sublayer.bias_table.dims[0]),
        trains_table(state.trains(sublayer.bias_table)),
        tables(layout.add(trains_table ? sublayer.heads * table_size : 0)),
        qkv_weights(state.parameters.linear(sublayer.qkv)),
        qkv_transposed(state.parameters.linear_transposed(sublayer.qkv)),
        proj_transposed(state.parameters.linear_transposed(sublayer.proj)),
        bias(state.parameters.bias_table(sublayer.bias_table, sublayer.window)),
        norm_weight(values_of(sublayer.norm.weight)),
        norm_bias(values_of(sublayer.norm.bias)),
        inputs(state.data(backward.x)),
        queries(backward.query.empty() ? nullptr : state.data(backward.query)),
        dqueries(query_gradients) {}

  std::int64_t floats() const {
    const std::int64_t most_rows = std::int64_t{most_windows} * tokens;
    return 6 * TileRows::size(most_rows, channels) + 2 * TileRows::size(most_rows, qkv.out) + head_scratch_size() +
           kernels::weight_gradient_scratch_size();
  }
  std::int64_t pointers() const { return std::int64_t{10} * most_windows * tokens + std::int64_t{8} * tokens; }

  /// Turns the gradients (of the whole map) in `tile_windows` windows into those of the inputs, and adds the parameters'
  /// to `sums`.
  void run(std::int64_t first, std::int64_t tile_windows, float* gradients, float* sums, Scratch& scratch) const {
    const auto rows = static_cast<std::int32_t>(tile_windows * tokens);
    const float** x_rows = scratch.pointers(rows);
    float** dy_rows = scratch.mutable_pointers(rows);
    for (std::int32_t r = 0; r < rows; ++r) {
      const std::int64_t at = grid.offset(windows.position(first + r / tokens), r % tokens, channels);
      x_rows[r] = inputs + at;
      dy_rows[r] = gradients + at;
    }
    const TileRows normalized(scratch, rows, channels);
    const HeadRows heads{.projected = TileRows(scratch, rows, qkv.out),
                         .attended = TileRows(scratch, rows, channels),
                         .dattended = TileRows(scratch, rows, channels),
                         .dprojected = TileRows(scratch, rows, qkv.out),
                         .unused_queries = TileRows(scratch, rows, channels)};
    const TileRows scaled(scratch, rows, channels);
    const TileRows dnormalized(scratch, rows, channels);
    float* outer = scratch.floats(kernels::weight_gradient_scratch_size());
    kernels::layer_norm(x_rows, rows, channels, norm_weight, norm_bias, ops::kLayerNormEpsilon, normalized.rows);
    multiply(qkv_weights, normalized.read(), heads.projected.rows, rows);
    multiply(proj_transposed, scaled_rows(branch, dy_rows, scaled, rows, channels), heads.dattended.rows, rows);
    run_heads(first, tile_windows, heads, sums, scratch);
    proj.add(dy_rows, heads.attended.read(), rows, sums, outer);
    qkv.add(heads.dprojected.read(), normalized.read(), rows, sums, outer);
    multiply(qkv_transposed, heads.dprojected.read(), dnormalized.rows, rows);
    kernels::layer_norm_backward(x_rows, dnormalized.read(), rows, channels, norm_weight, ops::kLayerNormEpsilon,
                                 dy_rows, norm.weights(sums), norm.biases(sums));
  }

  /// From the sums over all windows to the parameters' gradients.
  void finish(NativeBackend::State& state, float* sums) const {
    if (proj.wanted) {
      finish_branch_gradients(state, sublayer.proj, sublayer.gamma, branch, sums + proj.weight, sums + proj.bias);
    }
    qkv.finish(state, sublayer.qkv, sums);
    proj.finish(state, sublayer.proj, sums);
    norm.finish(state, sublayer.norm, sums);
    if (trains_table) {
      state.add_table_gradient(sublayer.bias_table, sublayer.heads, sums + tables);
    }
  }

  const ops::AttentionSublayer& sublayer;
  const Branch& branch;
  WindowGrid grid;
  GradientLayout layout;
  std::int32_t channels;
  std::int32_t tokens;
  std::int32_t head_dim;
  Rows windows;
  std::int32_t most_windows;  ///< of a tile
  LinearGradient qkv, proj;
  NormGradient norm;
  std::int64_t table_size;
  bool trains_table;
  std::int64_t tables;  ///< [heads][table]
  const kernels::PackedWeights& qkv_weights;
  const kernels::PackedWeights& qkv_transposed;
  const kernels::PackedWeights& proj_transposed;
  const kernels::PackedBias& bias;
  const float* norm_weight;
  const float* norm_bias;
  const float* inputs;
  const float* queries;  ///< null for local attention
  float* dqueries;  ///< by window; null where the global query needs no gradient

 private:
  /// A tile's rows as its heads read and write them.
  struct HeadRows {
    TileRows projected, attended, dattended, dprojected, unused_queries;
  };

  std::int64_t head_scratch_size() const { return kernels::attention_backward_scratch_size(tokens, head_dim); }

  void run_heads(std::int64_t first, std::int64_t tile_windows, const HeadRows& rows, float* sums,
                 Scratch& scratch) const {
    const float** q = scratch.pointers(tokens);
    const float** k = scratch.pointers(tokens);
    const float** v = scratch.pointers(tokens);
    const float** dout = scratch.pointers(tokens);
    float** out = scratch.mutable_pointers(tokens);
    float** dq = scratch.mutable_pointers(tokens);
    float** dk = scratch.mutable_pointers(tokens);
    float** dv = scratch.mutable_pointers(tokens);
    float* head_scratch = scratch.floats(head_scratch_size());
    const std::int64_t key_part = queries == nullptr ? channels : 0;
    for (std::int64_t task = 0; task < tile_windows * sublayer.heads; ++task) {
      const std::int64_t window = windows.position(first + task / sublayer.heads);
      const auto row = static_cast<std::int32_t>(task / sublayer.heads * tokens);  // of the window's first token
      const auto head = static_cast<std::int32_t>(task % sublayer.heads);
      const std::int64_t column = std::int64_t{head} * head_dim;
      for (std::int32_t t = 0; t < tokens; ++t) {
        k[t] = rows.projected.rows[row + t] + key_part + column;
        v[t] = k[t] + channels;
        dk[t] = rows.dprojected.rows[row + t] + key_part + column;
        dv[t] = dk[t] + channels;
        out[t] = rows.attended.rows[row + t] + column;
        dout[t] = rows.dattended.rows[row + t] + column;
        if (queries == nullptr) {
          q[t] = rows.projected.rows[row + t] + column;
          dq[t] = rows.dprojected.rows[row + t] + column;
        } else {
          q[t] = queries + (window / grid.per_image * tokens + t) * channels + column;
          dq[t] =
              (dqueries == nullptr ? rows.unused_queries.rows[row + t] : dqueries + (window * tokens + t) * channels) +
              column;
        }
      }
      kernels::attention_backward({.q = q,
                                   .k = k,
                                   .v = v,
                                   .out_gradient = dout,
                                   .q_gradient = dq,
                                   .k_gradient = dk,
                                   .v_gradient = dv,
                                   .out = out,
                                   .bias = &bias,
                                   .bias_gradient = trains_table ? sums + tables + head * table_size : nullptr,
                                   .head = head,
                                   .head_dim = head_dim,
                                   .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                   .scratch = head_scratch});
    }
  }
};

}  // namespace

void AttentionSublayerBackward::run(NativeBackend& backend, NativeBackend::State& state, Value gradient) const {
  // Windows of an image share its global query; each leaves its part of the query's gradient here.
  const Value dqueries = query_node < 0 ? Value() : state.make_value(backend, x.shape());
  float* to_queries = query_node < 0 ? nullptr : state.values.data(dqueries.id());
  const AttentionTileLoop loop(state, *this, to_queries);
  float* gradients = state.values.data(gradient.id());
  const RowGroups groups(loop.windows.count(), loop.tokens);
  float* partials = state.partial_sums(groups.size() * loop.layout.size());
  state.parallel_for(groups.size(), loop.floats(), loop.pointers(), [&](std::int64_t group, Scratch& scratch) {
    float* sums = partials + group * loop.layout.size();
    std::fill_n(sums, loop.layout.size(), 0.0f);
    const std::int64_t end = groups.first(group + 1);
    for (std::int64_t first = groups.first(group); first < end; first += loop.most_windows) {
      scratch.reset();
      loop.run(first, std::min<std::int64_t>(loop.most_windows, end - first), gradients, sums, scratch);
    }
  });
  std::vector<float> sums(static_cast<std::size_t>(loop.layout.size()));
  state.add_partial_sums(partials, groups.size(), loop.layout.size(), sums.data());
  loop.finish(state, sums.data());
  if (query_node >= 0) {
    const std::int64_t image_size = x.shape().size();
    for (const std::int64_t image : branch.dropped) std::fill_n(to_queries + image * image_size, image_size, 0.0f);
    state.add_query_gradient(backend, query_node, to_queries, loop.grid.per_image);
  }
  if (x_node >= 0) state.add_gradient(x_node, std::move(gradient));
}

}  // namespace gcvit::native
