// SPDX-License-Identifier: Apache-2.0
// The two halves of a block. Where there are enough windows or rows for every thread, a tile walks through a whole half
// on one core without leaving its cache; where there are few (the last levels at small batches) the same pieces run as
// stages over rows, heads and columns with a barrier between. The schedule changes no bit.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/rows.h"
#include "native/sublayer_backward.h"
#include "native/state.h"
#include "native/window_grid.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

namespace {

/// How heads are computed together: groups whose columns are whole panels, one head each where that fits, else all.
struct HeadGroups {
  HeadGroups(std::int32_t heads, std::int32_t head_dim)
      : heads_per_group(head_dim % kernels::panel_width() == 0 ? 1 : heads), count(heads / heads_per_group) {}
  std::int32_t heads_per_group;
  std::int32_t count;
};

/// One attention half, ready to be computed window by window and head group by head group.
struct AttentionTileLoop {
  WindowGrid grid;
  HeadGroups groups;
  std::int32_t tokens;
  std::int32_t channels;
  std::int32_t heads;
  std::int32_t head_dim;
  const kernels::PackedWeights* qkv;
  const kernels::PackedBias* bias;
  const float* global_query;  ///< [images][tokens][channels], or null: queries come from qkv

  std::int32_t parts() const { return global_query == nullptr ? 3 : 2; }
  std::int32_t group_columns() const { return groups.heads_per_group * head_dim; }

  std::int64_t group_floats() const {
    return Scratch::rounded(std::int64_t{parts()} * tokens * group_columns()) +
           kernels::attention_scratch_size(tokens, head_dim);
  }
  std::int64_t group_pointers() const { return std::int64_t{5} * tokens; }

  /// Computes the heads of `group` in window `window`: `normalized` holds the window's tokens, `attended` takes the
  /// heads' outputs at their columns.
  void run(std::int64_t window, std::int32_t group, const float* const* normalized, float* const* attended,
           Scratch& scratch) const {
    const std::int32_t columns = group_columns();
    float* projected = scratch.floats(std::int64_t{parts()} * tokens * columns);
    float* head_scratch = scratch.floats(kernels::attention_scratch_size(tokens, head_dim));
    const float** q = scratch.pointers(tokens);
    const float** k = scratch.pointers(tokens);
    const float** v = scratch.pointers(tokens);
    float** out = scratch.mutable_pointers(tokens);
    float** rows = scratch.mutable_pointers(tokens);

    // A token's parts (q, k, v) of this group lie side by side.
    const std::int64_t token_stride = std::int64_t{parts()} * columns;
    const std::int32_t width = kernels::panel_width();
    if (groups.count == 1) {
      for (std::int32_t t = 0; t < tokens; ++t) rows[t] = projected + t * token_stride;
      kernels::gemm(*qkv, {.a = normalized, .c = rows, .count = tokens}, {}, 0, kernels::panel_count(qkv->columns));
    } else {
      for (std::int32_t part = 0; part < parts(); ++part) {
        for (std::int32_t t = 0; t < tokens; ++t) rows[t] = projected + t * token_stride + part * columns;
        const std::int32_t first = part * channels + group * columns;
        kernels::gemm(*qkv, {.a = normalized, .c = rows, .count = tokens, .first_column = first}, {}, first / width,
                      (first + columns) / width);
      }
    }
    const float* keys = projected + (parts() - 2) * columns;
    const float* queries = global_query == nullptr
                               ? projected
                               : global_query + window / grid.per_image * tokens * channels + group * columns;
    const std::int64_t query_stride = global_query == nullptr ? token_stride : channels;
    for (std::int32_t h = 0; h < groups.heads_per_group; ++h) {
      const std::int32_t head = group * groups.heads_per_group + h;
      for (std::int32_t t = 0; t < tokens; ++t) {
        q[t] = queries + t * query_stride + h * head_dim;
        k[t] = keys + t * token_stride + h * head_dim;
        v[t] = k[t] + columns;
        out[t] = attended[t] + head * head_dim;
      }
      kernels::attention({.q = q,
                          .k = k,
                          .v = v,
                          .out = out,
                          .bias = bias,
                          .head = head,
                          .head_dim = head_dim,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                          .scratch = head_scratch});
    }
  }
};

/// From the gradient of attention's output to those of queries, keys, values and the bias table. Window by window and
/// head by head; what windows share (the bias table, an image's global query) each writes for itself, and these are
/// added up in the order of the windows.
struct AttentionBackward {
  Value qkv;
  Value query;  ///< the global one, or empty
  const ops::Parameter& bias_table;
  std::int32_t heads;
  WindowGrid grid;
  std::int32_t qkv_node;  ///< -1 when it needs no gradient
  std::int32_t query_node;

  void run(NativeBackend& backend, NativeBackend::State& state, const Value& gradient) const {
    const std::int32_t tokens = grid.window.tokens();
    const std::int64_t channels = grid.shape.channels;
    const auto head_dim = static_cast<std::int32_t>(channels / heads);
    const std::int64_t windows = state.batch * grid.per_image;
    const std::int64_t qkv_channels = qkv.shape().channels;
    const std::int64_t key_part = query.empty() ? channels : 0;
    const Value dqkv = state.make_value(backend, qkv.shape());
    const Value dqueries = query.empty() ? Value() : state.make_value(backend, grid.shape);  // by window
    const float* from = state.data(qkv);
    const float* queries = query.empty() ? nullptr : state.data(query);
    const float* dy = state.data(gradient);
    float* to = state.values.data(dqkv.id());
    float* to_queries = query.empty() ? nullptr : state.values.data(dqueries.id());
    const std::int64_t table_size = bias_table.dims[0];
    float* table_partials = state.trains(bias_table) ? state.partial_sums(windows * heads * table_size) : nullptr;
    const kernels::PackedBias& bias = state.parameters.bias_table(bias_table, grid.window);

    state.parallel_for(
        windows * heads, kernels::attention_backward_scratch_size(tokens, head_dim), std::int64_t{7} * tokens,
        [&](std::int64_t task, Scratch& scratch) {
          const std::int64_t window = task / heads;
          const auto head = static_cast<std::int32_t>(task % heads);
          const float** q = scratch.pointers(tokens);
          const float** k = scratch.pointers(tokens);
          const float** v = scratch.pointers(tokens);
          const float** dout = scratch.pointers(tokens);
          float** dq = scratch.mutable_pointers(tokens);
          float** dk = scratch.mutable_pointers(tokens);
          float** dv = scratch.mutable_pointers(tokens);
          for (std::int32_t t = 0; t < tokens; ++t) {
            const std::int64_t at = grid.offset(window, t, qkv_channels) + std::int64_t{head} * head_dim;
            k[t] = from + at + key_part;
            v[t] = k[t] + channels;
            dk[t] = to + at + key_part;
            dv[t] = dk[t] + channels;
            dout[t] = dy + grid.offset(window, t, channels) + std::int64_t{head} * head_dim;
            if (queries == nullptr) {
              q[t] = from + at;
              dq[t] = to + at;
            } else {
              q[t] = queries + (window / grid.per_image * tokens + t) * channels + std::int64_t{head} * head_dim;
              dq[t] = to_queries + (window * tokens + t) * channels + std::int64_t{head} * head_dim;
            }
          }
          float* table_partial = table_partials == nullptr ? nullptr : table_partials + task * table_size;
          if (table_partial != nullptr) std::fill_n(table_partial, table_size, 0.0f);
          kernels::attention_backward(
              {.q = q,
               .k = k,
               .v = v,
               .out_gradient = dout,
               .q_gradient = dq,
               .k_gradient = dk,
               .v_gradient = dv,
               .bias = &bias,
               .bias_gradient = table_partial,
               .head = head,
               .head_dim = head_dim,
               .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
               .scratch = scratch.floats(kernels::attention_backward_scratch_size(tokens, head_dim))});
        });
    if (table_partials != nullptr) {
      std::vector<float> by_head(static_cast<std::size_t>(heads * table_size));
      state.add_partial_sums(table_partials, windows, heads * table_size, by_head.data());
      state.add_table_gradient(bias_table, heads, by_head.data());
    }
    if (query_node >= 0) state.add_query_gradient(backend, query_node, to_queries, grid.per_image);
    if (qkv_node >= 0) state.add_gradient(qkv_node, dqkv);
  }
};

AttentionTileLoop make_tile_loop(NativeBackend::State& state, const Shape& shape,
                                 const ops::AttentionSublayer& sublayer) {
  const std::int32_t head_dim = shape.channels / sublayer.heads;
  return {.grid = WindowGrid(shape, sublayer.window),
          .groups = HeadGroups(sublayer.heads, head_dim),
          .tokens = sublayer.window.tokens(),
          .channels = shape.channels,
          .heads = sublayer.heads,
          .head_dim = head_dim,
          .qkv = &state.parameters.linear(sublayer.qkv),
          .bias = &state.parameters.bias_table(sublayer.bias_table, sublayer.window),
          .global_query = sublayer.global_query == nullptr ? nullptr : state.data(*sublayer.global_query)};
}

/// Images that dropped the branch pass as they are.
void copy_dropped(const Branch& branch, const float* x, std::int64_t image_size, float* y) {
  for (const std::int64_t image : branch.dropped) {
    std::copy_n(x + image * image_size, image_size, y + image * image_size);
  }
}

/// The attention half with a window's walk through all of it as one task.
Value attend_by_windows(NativeBackend& backend, NativeBackend::State& state, const Value& x,
                        const ops::AttentionSublayer& sublayer, const Branch& branch) {
  const Shape shape = x.shape();
  const AttentionTileLoop loop = make_tile_loop(state, shape, sublayer);
  const std::int32_t tokens = loop.tokens;
  const std::int64_t channels = shape.channels;
  const Value y = state.make_value(backend, shape);
  const kernels::PackedWeights& proj = state.parameters.linear(sublayer.proj);
  const float* norm_weight = values_of(sublayer.norm.weight);
  const float* norm_bias = values_of(sublayer.norm.bias);
  const float* from = state.data(x);
  float* to = state.values.data(y.id());
  const std::int64_t window_floats = Scratch::rounded(tokens * channels);
  const Rows windows = branch.rows(state.batch, loop.grid.per_image);
  copy_dropped(branch, from, shape.size(), to);
  state.parallel_for(windows.count(), 2 * window_floats + loop.group_floats(), 4 * tokens + loop.group_pointers(),
                     [&](std::int64_t index, Scratch& scratch) {
                       const std::int64_t window = windows.position(index);
                       float* normalized = scratch.floats(window_floats);
                       float* attended = scratch.floats(window_floats);
                       const float** x_rows = scratch.pointers(tokens);
                       float** y_rows = scratch.mutable_pointers(tokens);
                       float** normalized_rows = scratch.mutable_pointers(tokens);
                       float** attended_rows = scratch.mutable_pointers(tokens);
                       for (std::int32_t t = 0; t < tokens; ++t) {
                         const std::int64_t offset = loop.grid.offset(window, t, channels);
                         x_rows[t] = from + offset;
                         y_rows[t] = to + offset;
                         normalized_rows[t] = normalized + t * channels;
                         attended_rows[t] = attended + t * channels;
                       }
                       kernels::layer_norm(x_rows, tokens, shape.channels, norm_weight, norm_bias,
                                           ops::kLayerNormEpsilon, normalized_rows);
                       for (std::int32_t group = 0; group < loop.groups.count; ++group) {
                         const Scratch::Mark mark = scratch.mark();
                         loop.run(window, group, normalized_rows, attended_rows, scratch);
                         scratch.release(mark);
                       }
                       kernels::gemm(proj, {.a = attended_rows, .c = y_rows, .residual = x_rows, .count = tokens},
                                     {.gamma = branch.factors()}, 0, kernels::panel_count(shape.channels));
                     });
  return y;
}

/// The MLP half with a tile of rows that walks through all of it as one task.
Value mlp_tile_loop(NativeBackend& backend, NativeBackend::State& state, const Value& x,
                    const ops::MlpSublayer& sublayer, const Branch& branch) {
  const Shape shape = x.shape();
  const Value y = state.make_value(backend, shape);
  const kernels::PackedWeights& fc1 = state.parameters.linear(sublayer.fc1);
  const kernels::PackedWeights& fc2 = state.parameters.linear(sublayer.fc2);
  const float* norm_weight = values_of(sublayer.norm.weight);
  const float* norm_bias = values_of(sublayer.norm.bias);
  const float* from = state.data(x);
  float* to = state.values.data(y.id());
  const std::int64_t channels = shape.channels;
  const std::int64_t hidden = fc1.columns;
  const Rows kept = branch.rows(state.batch, shape.positions());
  copy_dropped(branch, from, shape.size(), to);
  const RowTiles tiles(kept.count(), kTileRows, state.pool.size());
  state.parallel_for(
      tiles.size(), Scratch::rounded(tiles.most_rows() * channels) + Scratch::rounded(tiles.most_rows() * hidden),
      4 * tiles.most_rows(), [&](std::int64_t tile, Scratch& scratch) {
        const auto rows = static_cast<std::int32_t>(tiles.rows(tile));
        float* normalized = scratch.floats(rows * channels);
        float* activated = scratch.floats(rows * hidden);
        const float** x_rows = scratch.pointers(rows);
        float** y_rows = scratch.mutable_pointers(rows);
        float** normalized_rows = scratch.mutable_pointers(rows);
        float** activated_rows = scratch.mutable_pointers(rows);
        for (std::int32_t r = 0; r < rows; ++r) {
          const std::int64_t offset = kept.position(tiles.first(tile) + r) * channels;
          x_rows[r] = from + offset;
          y_rows[r] = to + offset;
          normalized_rows[r] = normalized + r * channels;
          activated_rows[r] = activated + r * hidden;
        }
        kernels::layer_norm(x_rows, rows, shape.channels, norm_weight, norm_bias, ops::kLayerNormEpsilon,
                            normalized_rows);
        kernels::gemm(fc1, {.a = normalized_rows, .c = activated_rows, .count = rows},
                      {.activation = kernels::GemmActivation::kGelu}, 0, kernels::panel_count(fc1.columns));
        kernels::gemm(fc2, {.a = activated_rows, .c = y_rows, .residual = x_rows, .count = rows},
                      {.gamma = branch.factors()}, 0, kernels::panel_count(fc2.columns));
      });
  return y;
}

}  // namespace

Value NativeBackend::window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                                      std::int32_t heads, ops::Window window) {
  const Shape* query_shape = global_query == nullptr ? nullptr : &global_query->shape();
  const Shape shape = ops::window_attention_shape(qkv.shape(), query_shape, bias_table, heads, window);
  const Value y = state_->make_value(*this, shape);
  const WindowGrid grid(shape, window);
  const kernels::PackedBias& bias = state_->parameters.bias_table(bias_table, window);
  const float* from = state_->data(qkv);
  const float* queries = global_query == nullptr ? nullptr : state_->data(*global_query);
  float* to = state_->values.data(y.id());
  const std::int32_t tokens = window.tokens();
  const std::int32_t head_dim = shape.channels / heads;
  const std::int64_t key_part = global_query == nullptr ? shape.channels : 0;
  state_->parallel_for(
      state_->batch * grid.per_image * heads, kernels::attention_scratch_size(tokens, head_dim), 4 * tokens,
      [&](std::int64_t task, Scratch& scratch) {
        const std::int64_t index = task / heads;
        const auto head = static_cast<std::int32_t>(task % heads);
        const float** q = scratch.pointers(tokens);
        const float** k = scratch.pointers(tokens);
        const float** v = scratch.pointers(tokens);
        float** out = scratch.mutable_pointers(tokens);
        for (std::int32_t t = 0; t < tokens; ++t) {
          const float* token = from + grid.offset(index, t, qkv.shape().channels) + std::int64_t{head} * head_dim;
          q[t] = queries == nullptr
                     ? token
                     : queries + (index / grid.per_image * tokens + t) * shape.channels + head * head_dim;
          k[t] = token + key_part;
          v[t] = k[t] + shape.channels;
          out[t] = to + grid.offset(index, t, shape.channels) + std::int64_t{head} * head_dim;
        }
        kernels::attention({.q = q,
                            .k = k,
                            .v = v,
                            .out = out,
                            .bias = &bias,
                            .head = head,
                            .head_dim = head_dim,
                            .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                            .scratch = scratch.floats(kernels::attention_scratch_size(tokens, head_dim))});
      });
  const bool needs_query = global_query != nullptr && state_->needs_gradient(*global_query);
  if (state_->tape.recording() && (state_->needs_gradient(qkv) || needs_query || state_->trains(bias_table))) {
    AttentionBackward backward{.qkv = qkv,
                               .query = global_query == nullptr ? Value() : *global_query,
                               .bias_table = bias_table,
                               .heads = heads,
                               .grid = grid,
                               .qkv_node = state_->needs_gradient(qkv) ? state_->node(qkv) : -1,
                               .query_node = needs_query ? state_->node(*global_query) : -1};
    state_->record(
        y, [this, backward = std::move(backward)](const Value& gradient) { backward.run(*this, *state_, gradient); });
  }
  return y;
}

Value NativeBackend::attention_sublayer(const Value& x, const ops::AttentionSublayer& sublayer) {
  const Shape shape = ops::attention_sublayer_shape(x.shape(), sublayer);
  const bool whole = ops::whole_windows(shape, sublayer.window) == shape;
  if (state_->tape.recording()) {
    const bool needs_query = sublayer.global_query != nullptr && state_->needs_gradient(*sublayer.global_query);
    const bool recorded = state_->trains(sublayer.norm) || state_->trains(sublayer.qkv) ||
                          state_->trains(sublayer.bias_table) || state_->trains(sublayer.proj) ||
                          (sublayer.gamma != nullptr && state_->trains(*sublayer.gamma)) || needs_query ||
                          state_->needs_gradient(x);
    const Value query = sublayer.global_query == nullptr ? Value() : *sublayer.global_query;
    if (whole && backward_is_tile_loop(shape)) {
      state_->tape.next_branch();
      Branch branch(state_->tape, sublayer.gamma, sublayer.drop_path, shape.channels, state_->batch);
      const Value y = attend_by_windows(*this, *state_, x, sublayer, branch);
      if (recorded) {
        AttentionSublayerBackward backward{.x = x,
                                           .query = query,
                                           .sublayer = sublayer,
                                           .branch = std::move(branch),
                                           .x_node = state_->needs_gradient(x) ? state_->node(x) : -1,
                                           .query_node = needs_query ? state_->node(query) : -1};
        state_->record(y, [this, backward = std::move(backward)](Value gradient) {
          backward.run(*this, *state_, std::move(gradient));
        });
      }
      return y;
    }
    return state_->record_sublayer(*this, x, recorded, [this, sublayer, query](const Value& input) {
      ops::AttentionSublayer again = sublayer;
      if (sublayer.global_query != nullptr) again.global_query = &query;
      return Backend::attention_sublayer(input, again);
    });
  }
  if (!whole) return Backend::attention_sublayer(x, sublayer);
  const AttentionTileLoop loop = make_tile_loop(*state_, shape, sublayer);
  const std::int32_t tokens = loop.tokens;
  const std::int64_t windows = state_->batch * loop.grid.per_image;
  const int threads = state_->pool.size();
  const ops::Residual residual{x, sublayer.gamma, sublayer.drop_path};
  const std::int64_t channels = shape.channels;

  if (windows % threads != 0 && windows < 4 * threads) {
    const Value normalized = layer_norm(x, sublayer.norm);
    const Value attended = state_->make_value(*this, shape);
    const float* from = state_->data(normalized);
    float* to = state_->values.data(attended.id());
    state_->parallel_for(windows * loop.groups.count, loop.group_floats(), loop.group_pointers() + 2 * tokens,
                         [&](std::int64_t task, Scratch& scratch) {
                           const std::int64_t window = task / loop.groups.count;
                           const float** a = scratch.pointers(tokens);
                           float** out = scratch.mutable_pointers(tokens);
                           for (std::int32_t t = 0; t < tokens; ++t) {
                             const std::int64_t offset = loop.grid.offset(window, t, channels);
                             a[t] = from + offset;
                             out[t] = to + offset;
                           }
                           loop.run(window, static_cast<std::int32_t>(task % loop.groups.count), a, out, scratch);
                         });
    return linear(attended, sublayer.proj, {.residual = &residual});
  }

  return attend_by_windows(*this, *state_, x, sublayer,
                           Branch(state_->tape, sublayer.gamma, 0.0f, shape.channels, state_->batch));
}

Value NativeBackend::mlp_sublayer(const Value& x, const ops::MlpSublayer& sublayer) {
  const Shape shape = ops::mlp_sublayer_shape(x.shape(), sublayer);
  if (!state_->tape.recording()) {
    return mlp_tile_loop(*this, *state_, x, sublayer,
                         Branch(state_->tape, sublayer.gamma, 0.0f, shape.channels, state_->batch));
  }
  const bool recorded = state_->trains(sublayer.norm) || state_->trains(sublayer.fc1) || state_->trains(sublayer.fc2) ||
                        (sublayer.gamma != nullptr && state_->trains(*sublayer.gamma)) || state_->needs_gradient(x);
  if (!backward_is_tile_loop(shape)) {
    return state_->record_sublayer(
        *this, x, recorded, [this, sublayer](const Value& input) { return Backend::mlp_sublayer(input, sublayer); });
  }
  state_->tape.next_branch();
  Branch branch(state_->tape, sublayer.gamma, sublayer.drop_path, shape.channels, state_->batch);
  const Value y = mlp_tile_loop(*this, *state_, x, sublayer, branch);
  if (recorded) {
    MlpSublayerBackward backward{.x = x,
                                 .sublayer = sublayer,
                                 .branch = std::move(branch),
                                 .x_node = state_->needs_gradient(x) ? state_->node(x) : -1};
    state_->record(y, [this, backward = std::move(backward)](Value gradient) {
      backward.run(*this, *state_, std::move(gradient));
    });
  }
  return y;
}

}  // namespace gcvit::native
