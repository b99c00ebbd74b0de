// SPDX-License-Identifier: Apache-2.0
// The MLP sub-layer as a tile loop: a tile of rows stays in one core's cache from the normalisation to the residual.
#include <cstdint>
#include <utility>

#include "kernels/rows.h"
#include "native/branch.h"
#include "native/state.h"
#include "native/sublayer_backward.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

namespace {

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
  branch.copy_dropped(from, shape.size(), to);
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

Value NativeBackend::mlp_sublayer(const Value& x, const ops::MlpSublayer& sublayer) {
  const Shape shape = ops::mlp_sublayer_shape(x.shape(), sublayer);
  if (!state_->tape.recording()) {
    return mlp_tile_loop(*this, *state_, x, sublayer,
                         Branch(state_->tape, sublayer.gamma, 0.0f, shape.channels, state_->batch));
  }
  const bool recorded = state_->trains(sublayer.norm) || state_->trains(sublayer.fc1) || state_->trains(sublayer.fc2) ||
                        (sublayer.gamma != nullptr && state_->trains(*sublayer.gamma)) || state_->needs_gradient(x);
  if (recorded && !backward_is_tile_loop(shape)) {
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
