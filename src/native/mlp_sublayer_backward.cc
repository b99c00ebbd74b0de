// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/rows.h"
#include "native/sublayer_backward.h"
#include "native/sublayer_gradients.h"

namespace gcvit::native {

using ops::Value;

namespace {

constexpr std::int32_t kTile = 48;

/// One backward of the MLP sub-layer, ready to be computed tile by tile.
struct MlpTileLoop {
  MlpTileLoop(NativeBackend::State& state, const MlpSublayerBackward& backward)
      : sublayer(backward.sublayer),
        branch(backward.branch),
        channels(backward.x.shape().channels),
        fc1(layout, sublayer.fc1, state.parameters.precision(), state.trains(sublayer.fc1)),
        fc2(layout, sublayer.fc2, state.parameters.precision(), needs_sums(state, sublayer.fc2, sublayer.gamma)),
        norm(layout, channels, state.trains(sublayer.norm)),
        hidden(fc1.out),
        fc1_weights(state.parameters.linear(sublayer.fc1)),
        fc1_transposed(state.parameters.linear_transposed(sublayer.fc1)),
        fc2_transposed(state.parameters.linear_transposed(sublayer.fc2)),
        norm_weight(values_of(sublayer.norm.weight)),
        norm_bias(values_of(sublayer.norm.bias)) {}

  std::int64_t floats() const {
    return 3 * TileRows::size(kTile, channels) + 3 * TileRows::size(kTile, hidden) +
           kernels::weight_gradient_scratch_size();
  }
  static std::int64_t pointers() { return std::int64_t{8} * kTile; }

  /// Turns `count` rows of gradients into those of the inputs, and adds the parameters' to `sums`.
  void run(const float* const* x_rows, float* const* dy_rows, std::int32_t count, float* sums, Scratch& scratch) const {
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
                                 dy_rows, norm.weights(sums), norm.biases(sums));
  }

  /// From the sums over all rows to the parameters' gradients.
  void finish(NativeBackend::State& state, float* sums) const {
    if (fc2.wanted) {
      finish_branch_gradients(state, sublayer.fc2, sublayer.gamma, branch, sums + fc2.weight, sums + fc2.bias);
    }
    fc1.finish(state, sublayer.fc1, sums);
    fc2.finish(state, sublayer.fc2, sums);
    norm.finish(state, sublayer.norm, sums);
  }

  const ops::MlpSublayer& sublayer;
  const Branch& branch;
  GradientLayout layout;
  std::int32_t channels;
  LinearGradient fc1, fc2;
  NormGradient norm;
  std::int32_t hidden;
  const kernels::PackedWeights& fc1_weights;
  const kernels::PackedWeights& fc1_transposed;
  const kernels::PackedWeights& fc2_transposed;
  const float* norm_weight;
  const float* norm_bias;
};

}  // namespace

void MlpSublayerBackward::run(NativeBackend&, NativeBackend::State& state, Value gradient) const {
  const MlpTileLoop loop(state, *this);
  const std::int64_t channels = loop.channels;
  const float* inputs = state.data(x);
  float* gradients = state.values.data(gradient.id());
  const Rows rows = branch.rows(state.batch, x.shape().positions());
  const RowGroups groups(rows.count(), 1);
  float* partials = state.partial_sums(groups.size() * loop.layout.size());
  state.parallel_for(groups.size(), loop.floats(), loop.pointers(), [&](std::int64_t group, Scratch& scratch) {
    float* sums = partials + group * loop.layout.size();
    std::fill_n(sums, loop.layout.size(), 0.0f);
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
      loop.run(x_rows, dy_rows, count, sums, scratch);
    }
  });
  std::vector<float> sums(static_cast<std::size_t>(loop.layout.size()));
  state.add_partial_sums(partials, groups.size(), loop.layout.size(), sums.data());
  loop.finish(state, sums.data());
  if (x_node >= 0) state.add_gradient(x_node, std::move(gradient));
}

}  // namespace gcvit::native
