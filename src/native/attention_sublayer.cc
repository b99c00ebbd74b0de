// SPDX-License-Identifier: Apache-2.0
// The attention sub-layer as a tile loop: where there are enough windows for every thread, a window stays in one core's
// cache from the normalisation to the residual; where there are few (the last levels at small batches) the same pieces
// run as stages over rows, heads and columns with a barrier between. The schedule changes no bit.
#include <cmath>
#include <cstdint>
#include <utility>

#include "kernels/attention.h"
#include "kernels/operand.h"
#include "kernels/rows.h"
#include "native/branch.h"
#include "native/shared_operands.h"
#include "native/state.h"
#include "native/sublayer_backward.h"
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

/// One attention sub-layer, ready to be computed window by window and head group by head group.
struct AttentionTileLoop {
  AttentionTileLoop(NativeBackend::State& state, const Shape& shape, const ops::AttentionSublayer& sublayer)
      : grid(shape, sublayer.window),
        groups(sublayer.heads, shape.channels / sublayer.heads),
        tokens(sublayer.window.tokens()),
        channels(shape.channels),
        head_dim(shape.channels / sublayer.heads),
        qkv(&state.parameters.linear(sublayer.qkv)),
        bias(&state.parameters.bias_table(sublayer.bias_table, sublayer.window)),
        precision(kernels::rounds(*qkv) && !state.tape.recording() ? kernels::Precision::kBf16
                                                                   : kernels::Precision::kF32),
        global_query(sublayer.global_query == nullptr ? nullptr : state.data(*sublayer.global_query)) {}

  WindowGrid grid;
  HeadGroups groups;
  std::int32_t tokens;
  std::int32_t channels;
  std::int32_t head_dim;
  const kernels::PackedWeights* qkv;
  const kernels::PackedBias* bias;
  /// What q k^T and the sums of v compute in: of a model in a narrower type, bfloat16. Its backward would be another's.
  kernels::Precision precision;
  const float* global_query;  ///< [images][tokens][channels], or null: queries come from qkv

  std::int32_t parts() const { return global_query == nullptr ? 3 : 2; }
  std::int32_t group_columns() const { return groups.heads_per_group * head_dim; }

  std::int64_t group_floats() const {
    return Scratch::rounded(std::int64_t{parts()} * tokens * group_columns()) +
           kernels::attention_scratch_size(tokens, head_dim);
  }
  std::int64_t group_pointers() const { return std::int64_t{5} * tokens; }

  /// Floats of a window's tokens as the projection wants them rounded, for all groups; 0 where it doesn't.
  std::int64_t operand_floats() const { return Scratch::rounded(kernels::operand_size(*qkv, tokens)); }

  /// Computes the heads of `group` in window `window`: `normalized` holds the window's tokens, `operand` the same rounded
  /// (or null), `attended` takes the heads' outputs at their columns.
  void run(std::int64_t window, std::int32_t group, const float* const* normalized, const float* operand,
           float* const* attended, Scratch& scratch) const {
    const std::int32_t columns = group_columns();
    float* projected = scratch.floats(std::int64_t{parts()} * tokens * columns);
    float* head_scratch = scratch.floats(kernels::attention_scratch_size(tokens, head_dim));
    const float** q = scratch.pointers(tokens);
    const float** k = scratch.pointers(tokens);
    const float** v = scratch.pointers(tokens);
    float** out = scratch.mutable_pointers(tokens);
    project(group, normalized, operand, projected, scratch.mutable_pointers(tokens));

    const std::int64_t token_stride = std::int64_t{parts()} * columns;
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
                          .scratch = head_scratch,
                          .precision = precision});
    }
  }

 private:
  /// The group's columns of queries (unless they are global), keys and values; a token's parts lie side by side.
  void project(std::int32_t group, const float* const* normalized, const float* operand, float* projected,
               float** rows) const {
    const std::int32_t columns = group_columns();
    const std::int64_t token_stride = std::int64_t{parts()} * columns;
    const std::int32_t width = kernels::panel_width();
    if (groups.count == 1) {
      for (std::int32_t t = 0; t < tokens; ++t) rows[t] = projected + t * token_stride;
      kernels::gemm(*qkv, {.a = normalized, .c = rows, .count = tokens, .operand = operand}, {}, 0,
                    kernels::panel_count(qkv->columns));
      return;
    }
    for (std::int32_t part = 0; part < parts(); ++part) {
      for (std::int32_t t = 0; t < tokens; ++t) rows[t] = projected + t * token_stride + part * columns;
      const std::int32_t first = part * channels + group * columns;
      kernels::gemm(*qkv, {.a = normalized, .c = rows, .count = tokens, .first_column = first, .operand = operand}, {},
                    first / width, (first + columns) / width);
    }
  }
};

/// A task is a window.
Value attend_by_windows(NativeBackend& backend, NativeBackend::State& state, const Value& x,
                        const ops::AttentionSublayer& sublayer, const Branch& branch) {
  const Shape shape = x.shape();
  const AttentionTileLoop loop(state, shape, sublayer);
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
  branch.copy_dropped(from, shape.size(), to);
  const std::int64_t operand_floats = loop.operand_floats();
  state.parallel_for(windows.count(), 2 * window_floats + operand_floats + loop.group_floats(),
                     4 * tokens + loop.group_pointers(), [&](std::int64_t index, Scratch& scratch) {
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
                       float* operand = operand_floats == 0 ? nullptr : scratch.floats(operand_floats);
                       if (operand != nullptr) kernels::round_operand(*loop.qkv, normalized_rows, tokens, operand);
                       for (std::int32_t group = 0; group < loop.groups.count; ++group) {
                         const Scratch::Mark mark = scratch.mark();
                         loop.run(window, group, normalized_rows, operand, attended_rows, scratch);
                         scratch.release(mark);
                       }
                       kernels::gemm(proj, {.a = attended_rows, .c = y_rows, .residual = x_rows, .count = tokens},
                                     {.gamma = branch.factors()}, 0, kernels::panel_count(shape.channels));
                     });
  return y;
}

/// A task is a head group of a window; the normalisation before it and the projection after it are operations.
Value attend_by_stages(NativeBackend& backend, NativeBackend::State& state, const Value& x,
                       const ops::AttentionSublayer& sublayer) {
  const AttentionTileLoop loop(state, x.shape(), sublayer);
  const std::int32_t tokens = loop.tokens;
  const Value normalized = backend.layer_norm(x, sublayer.norm);
  const Value attended = state.make_value(backend, x.shape());
  const float* from = state.data(normalized);
  float* to = state.values.data(attended.id());
  const std::int64_t windows = state.batch * loop.grid.per_image;
  const SharedOperands operands(state, *loop.qkv, {.count = windows, .tasks = loop.groups.count, .most_rows = tokens},
                                [&](std::int64_t window, const float** rows, Scratch&) {
                                  for (std::int32_t t = 0; t < tokens; ++t) {
                                    rows[t] = from + loop.grid.offset(window, t, loop.channels);
                                  }
                                  return tokens;
                                });
  state.parallel_for(windows * loop.groups.count, loop.group_floats(), loop.group_pointers() + 2 * tokens,
                     [&](std::int64_t task, Scratch& scratch) {
                       const std::int64_t window = task / loop.groups.count;
                       const float** a = scratch.pointers(tokens);
                       float** out = scratch.mutable_pointers(tokens);
                       for (std::int32_t t = 0; t < tokens; ++t) {
                         const std::int64_t offset = loop.grid.offset(window, t, loop.channels);
                         a[t] = from + offset;
                         out[t] = to + offset;
                       }
                       loop.run(window, static_cast<std::int32_t>(task % loop.groups.count), a, operands[window], out,
                                scratch);
                     });
  const ops::Residual residual{x, sublayer.gamma, sublayer.drop_path};
  return backend.linear(attended, sublayer.proj, {.residual = &residual});
}

/// Whether backward has something to do for the sub-layer.
bool needs_backward(NativeBackend::State& state, const Value& x, const ops::AttentionSublayer& sublayer) {
  return state.trains(sublayer.norm) || state.trains(sublayer.qkv) || state.trains(sublayer.bias_table) ||
         state.trains(sublayer.proj) || (sublayer.gamma != nullptr && state.trains(*sublayer.gamma)) ||
         (sublayer.global_query != nullptr && state.needs_gradient(*sublayer.global_query)) || state.needs_gradient(x);
}

/// Whether its windows would leave threads idle at the end.
bool windows_are_few(const NativeBackend::State& state, const Shape& shape, const ops::AttentionSublayer& sublayer) {
  const std::int64_t windows = state.batch * WindowGrid(shape, sublayer.window).per_image;
  const int threads = state.pool.size();
  return windows % threads != 0 && windows < 4 * threads;
}

/// In a training run, on a map whose backward is a tile loop or not needed.
Value record_tile_loop(NativeBackend& backend, NativeBackend::State& state, const Value& x,
                       const ops::AttentionSublayer& sublayer) {
  state.tape.next_branch();
  Branch branch(state.tape, sublayer.gamma, sublayer.drop_path, x.shape().channels, state.batch);
  const bool recorded = needs_backward(state, x, sublayer);
  if (!recorded && windows_are_few(state, x.shape(), sublayer)) return attend_by_stages(backend, state, x, sublayer);
  const Value y = attend_by_windows(backend, state, x, sublayer, branch);
  if (!recorded) return y;
  const ops::Value* query = sublayer.global_query;
  AttentionSublayerBackward backward{
      .x = x,
      .query = query == nullptr ? Value() : *query,
      .sublayer = sublayer,
      .branch = std::move(branch),
      .x_node = state.needs_gradient(x) ? state.node(x) : -1,
      .query_node = query != nullptr && state.needs_gradient(*query) ? state.node(*query) : -1};
  state.record(y, [&backend, &state, backward = std::move(backward)](Value gradient) {
    backward.run(backend, state, std::move(gradient));
  });
  return y;
}

}  // namespace

Value NativeBackend::attention_sublayer(const Value& x, const ops::AttentionSublayer& sublayer) {
  const Shape shape = ops::attention_sublayer_shape(x.shape(), sublayer);
  const bool whole = ops::whole_windows(shape, sublayer.window) == shape;
  if (state_->tape.recording()) {
    if (whole && (backward_is_tile_loop(shape) || !needs_backward(*state_, x, sublayer))) {
      return record_tile_loop(*this, *state_, x, sublayer);
    }
    const Value query = sublayer.global_query == nullptr ? Value() : *sublayer.global_query;
    return state_->record_sublayer(*this, x, needs_backward(*state_, x, sublayer),
                                   [this, sublayer, query](const Value& input) {
                                     ops::AttentionSublayer again = sublayer;
                                     if (sublayer.global_query != nullptr) again.global_query = &query;
                                     return Backend::attention_sublayer(input, again);
                                   });
  }
  if (!whole) return Backend::attention_sublayer(x, sublayer);
  if (windows_are_few(*state_, shape, sublayer)) return attend_by_stages(*this, *state_, x, sublayer);
  return attend_by_windows(*this, *state_, x, sublayer,
                           Branch(state_->tape, sublayer.gamma, 0.0f, shape.channels, state_->batch));
}

}  // namespace gcvit::native
