// SPDX-License-Identifier: Apache-2.0
#include "native/sublayer_backward.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/rows.h"
#include "kernels/weight_gradient.h"
#include "native/state.h"
#include "native/window_grid.h"

namespace gcvit::native {

using ops::Value;

namespace {

/// Cuts `count` rows, or windows of `rows` each, into the groups whose sums are added up one by one and then in the order
/// of the groups: few where rows are many, as each costs a pass over all its sums, but enough for threads to share. By
/// the count alone.
class Groups {
 public:
  Groups(std::int64_t count, std::int64_t rows)
      : count_(count),
        groups_(std::max((count * rows + 383) / 384, std::min<std::int64_t>({16, (count * rows + 95) / 96, count}))) {}
  std::int64_t size() const { return groups_; }
  std::int64_t first(std::int64_t group) const { return count_ * group / groups_; }

 private:
  std::int64_t count_;
  std::int64_t groups_;
};

/// Where the gradients of a half's parameters lie in one run of floats: what a group of tiles adds to by itself.
class Layout {
 public:
  std::int64_t add(std::int64_t floats) { return std::exchange(size_, size_ + floats); }
  std::int64_t size() const { return size_; }

 private:
  std::int64_t size_ = 0;
};

struct LinearPart {
  LinearPart(Layout& layout, const ops::Linear& linear, kernels::Precision operands)
      : precision(operands),
        out(static_cast<std::int32_t>(linear.weight.dims[0])),
        in(static_cast<std::int32_t>(linear.weight.dims[1])),
        weight(layout.add(std::int64_t{out} * in)),
        bias(layout.add(out)) {}

  /// Adds what `count` rows give: dy their gradients, x the layer's inputs.
  void add(const float* const* dy, const float* const* x, std::int32_t count, float* sums, float* scratch) const {
    kernels::weight_gradient({.a = dy,
                              .b = x,
                              .count = count,
                              .c = sums + weight,
                              .c_stride = in,
                              .first_row = 0,
                              .rows = out,
                              .first_column = 0,
                              .columns = in,
                              .scratch = scratch,
                              .precision = precision});
    for (std::int32_t r = 0; r < count; ++r) kernels::add_to(sums + bias, dy[r], out);
  }

  /// Hands the sums on to the parameters that are trained.
  void finish(NativeBackend::State& state, const ops::Linear& linear, const float* sums) const {
    if (state.trains(linear.weight)) {
      state.add_to(state.gradient_of(linear.weight), sums + weight, std::int64_t{out} * in);
    }
    if (state.trains(linear.bias)) kernels::add_to(state.gradient_of(*linear.bias), sums + bias, out);
  }

  kernels::Precision precision;
  std::int32_t out, in;
  std::int64_t weight, bias;
};

struct NormPart {
  NormPart(Layout& layout, std::int32_t norm_channels)
      : channels(norm_channels), weight(layout.add(channels)), bias(layout.add(channels)) {}
  void finish(NativeBackend::State& state, const ops::LayerNorm& norm, const float* sums) const {
    if (state.trains(norm.weight)) kernels::add_to(state.gradient_of(norm.weight), sums + weight, channels);
    if (state.trains(norm.bias)) kernels::add_to(state.gradient_of(norm.bias), sums + bias, channels);
  }
  std::int32_t channels;
  std::int64_t weight, bias;
};

/// Rows of a tile's own: `count` rows of `width` floats, one behind the other.
struct TileRows {
  TileRows(Scratch& scratch, std::int32_t count, std::int64_t width)
      : floats(scratch.floats(count * width)), rows(scratch.mutable_pointers(count)) {
    for (std::int32_t r = 0; r < count; ++r) rows[r] = floats + r * width;
  }
  static std::int64_t room(std::int64_t count, std::int64_t width) { return Scratch::rounded(count * width); }
  const float* const* read() const { return rows; }

  float* floats;
  float** rows;
};

void multiply(const kernels::PackedWeights& weights, const float* const* a, float* const* c, std::int32_t count) {
  kernels::gemm(weights, {.a = a, .c = c, .count = count}, {}, 0, kernels::panel_count(weights.columns));
}

/// dy times the branch's factors, where there are some.
const float* const* scaled_rows(const Branch& branch, const float* const* dy, const TileRows& to, std::int32_t count,
                                std::int32_t channels) {
  if (branch.factors() == nullptr) return dy;
  for (std::int32_t r = 0; r < count; ++r) kernels::scale_positions(dy[r], 1, channels, branch.factors(), to.rows[r]);
  return to.read();
}

}  // namespace

void MlpSublayerBackward::run(NativeBackend&, NativeBackend::State& state, Value gradient) const {
  const ops::Shape shape = x.shape();
  const std::int32_t channels = shape.channels;
  Layout layout;
  const LinearPart fc1(layout, sublayer.fc1, state.parameters.precision());
  const LinearPart fc2(layout, sublayer.fc2, state.parameters.precision());
  const NormPart norm(layout, channels);
  const std::int32_t hidden = fc1.out;

  const kernels::PackedWeights& fc1_weights = state.parameters.linear(sublayer.fc1);
  const kernels::PackedWeights& fc1_transposed = state.parameters.linear_transposed(sublayer.fc1);
  const kernels::PackedWeights& fc2_transposed = state.parameters.linear_transposed(sublayer.fc2);
  const float* norm_weight = values_of(sublayer.norm.weight);
  const float* norm_bias = values_of(sublayer.norm.bias);
  const float* inputs = state.data(x);
  float* gradients = state.values.data(gradient.id());

  constexpr std::int32_t kTile = 48;
  const Rows rows = branch.rows(state.batch, shape.positions());
  const Groups groups(rows.count(), 1);
  float* partials = state.partial_sums(groups.size() * layout.size());
  state.parallel_for(
      groups.size(),
      3 * TileRows::room(kTile, channels) + 3 * TileRows::room(kTile, hidden) + kernels::weight_gradient_scratch_size(),
      8 * kTile, [&](std::int64_t group, Scratch& scratch) {
        float* sums = partials + group * layout.size();
        std::fill_n(sums, layout.size(), 0.0f);
        const std::int64_t end = groups.first(group + 1);
        for (std::int64_t first = groups.first(group); first < end; first += kTile) {
          const auto count = static_cast<std::int32_t>(std::min<std::int64_t>(kTile, end - first));
          scratch.reset();
          const float** x_rows = scratch.pointers(count);
          float** dy_rows = scratch.mutable_pointers(count);
          for (std::int32_t r = 0; r < count; ++r) {
            const std::int64_t at = rows.position(first + r) * channels;
            x_rows[r] = inputs + at;
            dy_rows[r] = gradients + at;
          }
          const TileRows normalized(scratch, count, channels);
          const TileRows scaled(scratch, count, channels);
          const TileRows dnormalized(scratch, count, channels);
          const TileRows before(scratch, count, hidden);
          const TileRows activated(scratch, count, hidden);
          const TileRows dactivated(scratch, count, hidden);
          float* outer = scratch.floats(kernels::weight_gradient_scratch_size());
          kernels::layer_norm(x_rows, count, channels, norm_weight, norm_bias, ops::kLayerNormEpsilon, normalized.rows);
          multiply(fc1_weights, normalized.read(), before.rows, count);
          kernels::gelu_forward(before.floats, std::int64_t{count} * hidden, activated.floats);
          multiply(fc2_transposed, scaled_rows(branch, dy_rows, scaled, count, channels), dactivated.rows, count);
          fc2.add(dy_rows, activated.read(), count, sums, outer);
          kernels::gelu_backward(before.floats, dactivated.floats, std::int64_t{count} * hidden, dactivated.floats);
          fc1.add(dactivated.read(), normalized.read(), count, sums, outer);
          multiply(fc1_transposed, dactivated.read(), dnormalized.rows, count);
          kernels::layer_norm_backward(x_rows, dnormalized.read(), count, channels, norm_weight, ops::kLayerNormEpsilon,
                                       dy_rows, sums + norm.weight, sums + norm.bias);
        }
      });
  std::vector<float> sums(static_cast<std::size_t>(layout.size()));
  state.add_partial_sums(partials, groups.size(), layout.size(), sums.data());
  finish_branch_gradients(state, sublayer.fc2, sublayer.gamma, branch, sums.data() + fc2.weight,
                          sums.data() + fc2.bias);
  fc1.finish(state, sublayer.fc1, sums.data());
  fc2.finish(state, sublayer.fc2, sums.data());
  norm.finish(state, sublayer.norm, sums.data());
  if (x_node >= 0) state.add_gradient(x_node, std::move(gradient));
}

void AttentionSublayerBackward::run(NativeBackend& backend, NativeBackend::State& state, Value gradient) const {
  const WindowGrid grid(x.shape(), sublayer.window);
  const std::int32_t channels = x.shape().channels;
  const std::int32_t tokens = sublayer.window.tokens();
  const std::int32_t head_dim = channels / sublayer.heads;
  const std::int64_t table_size = sublayer.bias_table.dims[0];
  Layout layout;
  const LinearPart qkv(layout, sublayer.qkv, state.parameters.precision());
  const LinearPart proj(layout, sublayer.proj, state.parameters.precision());
  const NormPart norm(layout, channels);
  const std::int64_t tables = layout.add(sublayer.heads * table_size);  // [heads][table]

  const kernels::PackedWeights& qkv_weights = state.parameters.linear(sublayer.qkv);
  const kernels::PackedWeights& qkv_transposed = state.parameters.linear_transposed(sublayer.qkv);
  const kernels::PackedWeights& proj_transposed = state.parameters.linear_transposed(sublayer.proj);
  const kernels::PackedBias& bias = state.parameters.bias_table(sublayer.bias_table, sublayer.window);
  const float* norm_weight = values_of(sublayer.norm.weight);
  const float* norm_bias = values_of(sublayer.norm.bias);
  const float* inputs = state.data(x);
  const float* queries = query.empty() ? nullptr : state.data(query);
  float* gradients = state.values.data(gradient.id());
  // Windows of an image share its global query; each leaves its part of the query's gradient here.
  const Value dqueries = query_node < 0 ? Value() : state.make_value(backend, grid.shape);
  float* to_queries = query_node < 0 ? nullptr : state.values.data(dqueries.id());

  // Small windows share a tile.
  const std::int32_t most_windows = std::max(1, 48 / tokens);
  const std::int32_t most_rows = most_windows * tokens;
  const Rows windows = branch.rows(state.batch, grid.per_image);
  const Groups groups(windows.count(), tokens);
  float* partials = state.partial_sums(groups.size() * layout.size());
  const std::int64_t head_scratch = kernels::attention_backward_scratch_size(tokens, head_dim);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  state.parallel_for(
      groups.size(),
      6 * TileRows::room(most_rows, channels) + 2 * TileRows::room(most_rows, qkv.out) + head_scratch +
          kernels::weight_gradient_scratch_size(),
      std::int64_t{10} * most_rows + std::int64_t{8} * tokens, [&](std::int64_t group, Scratch& scratch) {
        float* sums = partials + group * layout.size();
        std::fill_n(sums, layout.size(), 0.0f);
        const std::int64_t end = groups.first(group + 1);
        for (std::int64_t first = groups.first(group); first < end; first += most_windows) {
          const std::int64_t tile_windows = std::min<std::int64_t>(most_windows, end - first);
          const auto rows = static_cast<std::int32_t>(tile_windows * tokens);
          scratch.reset();
          const float** x_rows = scratch.pointers(rows);
          float** dy_rows = scratch.mutable_pointers(rows);
          for (std::int32_t r = 0; r < rows; ++r) {
            const std::int64_t at = grid.offset(windows.position(first + r / tokens), r % tokens, channels);
            x_rows[r] = inputs + at;
            dy_rows[r] = gradients + at;
          }
          const TileRows normalized(scratch, rows, channels);
          const TileRows projected(scratch, rows, qkv.out);
          const TileRows attended(scratch, rows, channels);
          const TileRows scaled(scratch, rows, channels);
          const TileRows dattended(scratch, rows, channels);
          const TileRows dprojected(scratch, rows, qkv.out);
          const TileRows dnormalized(scratch, rows, channels);
          const TileRows unused_queries(scratch, rows, channels);
          float* outer = scratch.floats(kernels::weight_gradient_scratch_size());
          float* heads_scratch = scratch.floats(head_scratch);
          kernels::layer_norm(x_rows, rows, channels, norm_weight, norm_bias, ops::kLayerNormEpsilon, normalized.rows);
          multiply(qkv_weights, normalized.read(), projected.rows, rows);
          multiply(proj_transposed, scaled_rows(branch, dy_rows, scaled, rows, channels), dattended.rows, rows);

          const float** q = scratch.pointers(tokens);
          const float** k = scratch.pointers(tokens);
          const float** v = scratch.pointers(tokens);
          const float** dout = scratch.pointers(tokens);
          float** out = scratch.mutable_pointers(tokens);
          float** dq = scratch.mutable_pointers(tokens);
          float** dk = scratch.mutable_pointers(tokens);
          float** dv = scratch.mutable_pointers(tokens);
          const std::int64_t key_part = query.empty() ? channels : 0;
          for (std::int64_t task = 0; task < tile_windows * sublayer.heads; ++task) {
            const std::int64_t window = windows.position(first + task / sublayer.heads);
            const auto row = static_cast<std::int32_t>(task / sublayer.heads * tokens);  // of the window's first token
            const auto head = static_cast<std::int32_t>(task % sublayer.heads);
            const std::int64_t column = std::int64_t{head} * head_dim;
            for (std::int32_t t = 0; t < tokens; ++t) {
              k[t] = projected.rows[row + t] + key_part + column;
              v[t] = k[t] + channels;
              dk[t] = dprojected.rows[row + t] + key_part + column;
              dv[t] = dk[t] + channels;
              out[t] = attended.rows[row + t] + column;
              dout[t] = dattended.rows[row + t] + column;
              if (queries == nullptr) {
                q[t] = projected.rows[row + t] + column;
                dq[t] = dprojected.rows[row + t] + column;
              } else {
                q[t] = queries + (window / grid.per_image * tokens + t) * channels + column;
                dq[t] = (to_queries == nullptr ? unused_queries.rows[row + t]
                                               : to_queries + (window * tokens + t) * channels) +
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
                                         .bias_gradient = sums + tables + head * table_size,
                                         .head = head,
                                         .head_dim = head_dim,
                                         .scale = scale,
                                         .scratch = heads_scratch});
          }
          proj.add(dy_rows, attended.read(), rows, sums, outer);
          qkv.add(dprojected.read(), normalized.read(), rows, sums, outer);
          multiply(qkv_transposed, dprojected.read(), dnormalized.rows, rows);
          kernels::layer_norm_backward(x_rows, dnormalized.read(), rows, channels, norm_weight, ops::kLayerNormEpsilon,
                                       dy_rows, sums + norm.weight, sums + norm.bias);
        }
      });
  std::vector<float> sums(static_cast<std::size_t>(layout.size()));
  state.add_partial_sums(partials, groups.size(), layout.size(), sums.data());
  finish_branch_gradients(state, sublayer.proj, sublayer.gamma, branch, sums.data() + proj.weight,
                          sums.data() + proj.bias);
  qkv.finish(state, sublayer.qkv, sums.data());
  proj.finish(state, sublayer.proj, sums.data());
  norm.finish(state, sublayer.norm, sums.data());
  if (state.trains(sublayer.bias_table)) {
    state.add_table_gradient(sublayer.bias_table, sublayer.heads, sums.data() + tables);
  }
  if (query_node >= 0) {
    for (const std::int64_t image : branch.dropped) {
      std::fill_n(to_queries + image * grid.shape.size(), grid.shape.size(), 0.0f);
    }
    state.add_query_gradient(backend, query_node, to_queries, grid.per_image);
  }
  if (x_node >= 0) state.add_gradient(x_node, std::move(gradient));
}

}  // namespace gcvit::native
