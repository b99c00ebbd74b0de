// SPDX-License-Identifier: Apache-2.0
#include "native/state.h"
#include "ops/shape.h"

namespace gcvit::native {

using ops::Shape;
using ops::Value;

namespace {

kernels::GemmActivation kernel_activation(ops::Activation activation) {
  switch (activation) {
    case ops::Activation::kNone: return kernels::GemmActivation::kNone;
    case ops::Activation::kGelu: return kernels::GemmActivation::kGelu;
    case ops::Activation::kSigmoid: return kernels::GemmActivation::kSigmoid;
  }
  return kernels::GemmActivation::kNone;
}

}  // namespace

PanelChunks::PanelChunks(std::int32_t panels, std::int64_t row_tiles, int threads) : panels_(panels) {
  // Enough tasks for every thread to have a few; columns are only cut where rows don't give them.
  const std::int64_t wanted = threads == 1 ? 1 : (3 * threads + row_tiles - 1) / row_tiles;
  chunks_ = static_cast<std::int32_t>(std::clamp<std::int64_t>(wanted, 1, panels));
}

Value NativeBackend::linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) {
  const Shape shape = ops::linear_shape(x.shape(), linear, epilogue);
  const Value y = state_->make_value(*this, shape);
  const kernels::PackedWeights& weights = state_->parameters.linear(linear);
  const float* from = state_->data(x);
  float* to = state_->values.data(y.id());
  const ops::Residual* residual = epilogue.residual;
  const float* added = residual == nullptr ? nullptr : state_->data(residual->input);
  const kernels::GemmEpilogue gemm_epilogue{
      .activation = kernel_activation(epilogue.activation),
      .gamma = residual != nullptr && residual->gamma != nullptr ? values_of(*residual->gamma) : nullptr};

  const RowTiles tiles(state_->batch * shape.positions(), kTileRows, 1);
  const PanelChunks chunks(kernels::panel_count(weights.columns), tiles.size(), state_->pool.size());
  state_->parallel_for(
      tiles.size() * chunks.size(), 0, 3 * tiles.most_rows(), [&](std::int64_t index, Scratch& scratch) {
        const std::int64_t tile = index / chunks.size();
        const auto chunk = static_cast<std::int32_t>(index % chunks.size());
        const std::int64_t rows = tiles.rows(tile);
        const float** a = scratch.pointers(rows);
        float** c = scratch.mutable_pointers(rows);
        const float** r = added == nullptr ? nullptr : scratch.pointers(rows);
        for (std::int64_t row = 0; row < rows; ++row) {
          const std::int64_t position = tiles.first(tile) + row;
          a[row] = from + position * x.shape().channels;
          c[row] = to + position * shape.channels;
          if (r != nullptr) r[row] = added + position * shape.channels;
        }
        kernels::gemm(weights, {.a = a, .c = c, .residual = r, .count = static_cast<std::int32_t>(rows)}, gemm_epilogue,
                      chunks.first(chunk), chunks.last(chunk));
      });
  return y;
}

}  // namespace gcvit::native
