// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/rows.h"
#include "native/branch.h"
#include "native/shared_operands.h"
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

bool needs_backward(NativeBackend::State& state, const Value& x, const ops::Linear& linear,
                    const ops::Residual* residual) {
  return state.trains(linear.weight) || state.trains(linear.bias) || state.needs_gradient(x) ||
         (residual != nullptr &&
          (state.needs_gradient(residual->input) || (residual->gamma != nullptr && state.trains(*residual->gamma))));
}

}  // namespace

void finish_branch_gradients(NativeBackend::State& state, const ops::Linear& linear, const ops::Parameter* gamma,
                             const Branch& branch, float* weight_sums, float* bias_sums) {
  const std::int64_t out = linear.weight.dims[0];
  const std::int64_t in = linear.weight.dims[1];
  const float* factors = branch.factors();
  if (factors == nullptr) return;
  if (gamma != nullptr && state.trains(*gamma)) {
    const float* weights = values_of(linear.weight);
    const float* biases = linear.bias ? values_of(*linear.bias) : nullptr;
    float* gamma_gradient = state.gradient_of(*gamma);
    state.pool.parallel_for(out, [&](std::int64_t c, int) {
      double sum = biases == nullptr ? 0.0 : static_cast<double>(biases[c]) * bias_sums[c];
      for (std::int64_t i = 0; i < in; ++i) {
        sum += static_cast<double>(weights[c * in + i]) * weight_sums[c * in + i];
      }
      gamma_gradient[c] += static_cast<float>(sum * branch.scale);
    });
  }
  if (weight_sums != nullptr) {
    state.pool.parallel_for(out, [&](std::int64_t c, int) {
      for (std::int64_t i = 0; i < in; ++i) weight_sums[c * in + i] *= factors[c];
    });
  }
  for (std::int64_t c = 0; c < out; ++c) bias_sums[c] *= factors[c];
}

namespace {

/// y = activation(x W^T + b), or input + factor * (x W^T + b) in the images that keep the branch.
struct LinearBackward {
  Value x;
  Value activated;    ///< y, when sigmoid was applied
  Value before_gelu;  ///< what GELU was applied to
  const ops::Linear& linear;
  const ops::Parameter* gamma;
  Branch branch;
  std::int32_t x_node;  ///< -1 when x needs no gradient
  std::int32_t residual_node = -1;

  void run(NativeBackend& backend, NativeBackend::State& state, Value gradient) const {
    undo_activation(state, gradient);
    const Rows rows = branch.rows(state.batch, gradient.shape().positions());
    if (state.trains(linear.weight) || state.trains(linear.bias) || (gamma != nullptr && state.trains(*gamma))) {
      add_parameter_gradients(state, gradient, rows);
    }
    if (x_node >= 0) add_input_gradient(backend, state, gradient, rows);
    if (residual_node >= 0) state.add_gradient(residual_node, std::move(gradient));
  }

 private:
  void undo_activation(NativeBackend::State& state, const Value& gradient) const {
    if (before_gelu.empty() && activated.empty()) return;
    constexpr std::int64_t kPiece = 1 << 12;
    const auto backward = activated.empty() ? kernels::gelu_backward : kernels::sigmoid_backward;
    const float* kept = state.data(activated.empty() ? before_gelu : activated);
    float* dy = state.values.data(gradient.id());
    const std::int64_t floats = state.batch * gradient.shape().size();
    state.pool.parallel_for((floats + kPiece - 1) / kPiece, [&](std::int64_t piece, int) {
      const std::int64_t at = piece * kPiece;
      backward(kept + at, dy + at, std::min(kPiece, floats - at), dy + at);
    });
  }

  void add_parameter_gradients(NativeBackend::State& state, const Value& gradient, const Rows& rows) const {
    const std::int64_t in = x.shape().channels;
    const std::int64_t out = gradient.shape().channels;
    std::vector<const float*>& dy_rows = state.gradient_rows;
    std::vector<const float*>& x_rows = state.input_rows;
    dy_rows.resize(static_cast<std::size_t>(rows.count()));
    x_rows.resize(dy_rows.size());
    for (std::int64_t row = 0; row < rows.count(); ++row) {
      dy_rows[static_cast<std::size_t>(row)] = state.data(gradient) + rows.position(row) * out;
      x_rows[static_cast<std::size_t>(row)] = state.data(x) + rows.position(row) * in;
    }
    std::vector<float> bias_sums(static_cast<std::size_t>(out));
    if (state.trains(linear.bias) || (gamma != nullptr && state.trains(*gamma))) {
      state.sum_over_rows(rows.count(), out, 0, bias_sums.data(),
                          [&](std::int64_t first, std::int64_t count, float* partial, Scratch&) {
                            for (std::int64_t r = first; r < first + count; ++r) {
                              kernels::add_to(partial, dy_rows[static_cast<std::size_t>(r)], out);
                            }
                          });
    }
    std::vector<float> frozen_weight;  // gamma's gradient needs the weight's
    float* weight_sums = nullptr;
    if (state.trains(linear.weight)) {
      weight_sums = state.gradient_of(linear.weight);
    } else if (gamma != nullptr && state.trains(*gamma)) {
      frozen_weight.resize(static_cast<std::size_t>(out * in));
      weight_sums = frozen_weight.data();
    }
    if (weight_sums != nullptr) {
      state.add_weight_gradient(dy_rows, x_rows, static_cast<std::int32_t>(out), static_cast<std::int32_t>(in),
                                weight_sums, in);
    }
    finish_branch_gradients(state, linear, gamma, branch, weight_sums, bias_sums.data());
    if (state.trains(linear.bias)) kernels::add_to(state.gradient_of(*linear.bias), bias_sums.data(), out);
  }

  void add_input_gradient(NativeBackend& backend, NativeBackend::State& state, const Value& gradient,
                          const Rows& rows) const {
    const Shape shape = x.shape();
    const std::int64_t out = gradient.shape().channels;
    const kernels::PackedWeights& weights = state.parameters.linear_transposed(linear);
    const Value dx = state.make_value(backend, shape);
    float* to = state.values.data(dx.id());
    const float* dy = state.data(gradient);
    for (const std::int64_t image : branch.dropped) std::fill_n(to + image * shape.size(), shape.size(), 0.0f);
    const RowTiles tiles(rows.count(), linear_tile_rows(out), 1);
    const PanelChunks chunks(kernels::panel_count(weights.columns), tiles.size(), state.pool.size());
    const float* factors = branch.factors();
    state.parallel_for(tiles.size() * chunks.size(), factors != nullptr ? Scratch::rounded(tiles.most_rows() * out) : 0,
                       2 * tiles.most_rows(), [&](std::int64_t index, Scratch& scratch) {
                         const std::int64_t tile = index / chunks.size();
                         const auto chunk = static_cast<std::int32_t>(index % chunks.size());
                         const std::int64_t count = tiles.rows(tile);
                         const float** a = scratch.pointers(count);
                         float** c = scratch.mutable_pointers(count);
                         float* factored = factors != nullptr ? scratch.floats(count * out) : nullptr;
                         for (std::int64_t row = 0; row < count; ++row) {
                           const std::int64_t position = rows.position(tiles.first(tile) + row);
                           a[row] = dy + position * out;
                           if (factors != nullptr) {
                             kernels::scale_positions(a[row], 1, static_cast<std::int32_t>(out), factors,
                                                      factored + row * out);
                             a[row] = factored + row * out;
                           }
                           c[row] = to + position * shape.channels;
                         }
                         kernels::gemm(weights, {.a = a, .c = c, .count = static_cast<std::int32_t>(count)}, {},
                                       chunks.first(chunk), chunks.last(chunk));
                       });
    state.add_gradient(x_node, dx);
  }
};

}  // namespace

Branch::Branch(const Tape& tape, const ops::Parameter* gamma, float drop_path, std::int32_t channels,
               std::int32_t batch)
    : gamma_(gamma == nullptr ? nullptr : values_of(*gamma)) {
  if (drop_path == 0.0f || !tape.training_run() || !tape.training().keeps_branch) return;
  scale = 1.0f / (1.0f - drop_path);
  for (std::int32_t image = 0; image < batch; ++image) {
    (tape.training().keeps_branch(image, tape.branch(), drop_path) ? kept : dropped).push_back(image);
  }
  scaled_.assign(static_cast<std::size_t>(channels), scale);
  for (std::size_t c = 0; c < scaled_.size() && gamma_ != nullptr; ++c) scaled_[c] *= gamma_[c];
}

namespace {

/// The forward of a linear layer, ready to be computed tile of rows by tile, and chunk of column panels by chunk.
struct LinearLoop {
  const kernels::PackedWeights& weights;
  const Rows& rows;
  kernels::GemmEpilogue epilogue;
  const float* from;
  const float* residual;  ///< null for none
  float* product;
  float* activated;  ///< where GELU of the product goes when the product itself is kept; else null

  /// Writes where the rows of the input lie; returns their count.
  std::int64_t point(std::int64_t first_row, std::int64_t count, const float** a) const {
    for (std::int64_t row = 0; row < count; ++row) a[row] = from + rows.position(first_row + row) * weights.k;
    return count;
  }

  /// `operand`: of these rows, or null.
  void run(std::int64_t first_row, std::int64_t count, const float* operand, std::int32_t first_panel,
           std::int32_t last_panel, Scratch& scratch) const {
    const float** a = scratch.pointers(count);
    float** c = scratch.mutable_pointers(count);
    const float** r = residual == nullptr ? nullptr : scratch.pointers(count);
    point(first_row, count, a);
    for (std::int64_t row = 0; row < count; ++row) {
      const std::int64_t position = rows.position(first_row + row);
      c[row] = product + position * weights.columns;
      if (r != nullptr) r[row] = residual + position * weights.columns;
    }
    kernels::gemm(weights,
                  {.a = a, .c = c, .residual = r, .count = static_cast<std::int32_t>(count), .operand = operand},
                  epilogue, first_panel, last_panel);
    if (activated == nullptr) return;
    const std::int64_t first = std::int64_t{first_panel} * kernels::panel_width();
    const std::int64_t last =
        std::min<std::int64_t>(std::int64_t{last_panel} * kernels::panel_width(), weights.columns);
    for (std::int64_t row = 0; row < count; ++row) {
      kernels::gelu_forward(c[row] + first, last - first, activated + (c[row] - product) + first);
    }
  }
};

}  // namespace

Value NativeBackend::linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) {
  const Shape shape = ops::linear_shape(x.shape(), linear, epilogue);
  const Value y = state_->make_value(*this, shape);
  const kernels::PackedWeights& weights = state_->parameters.linear(linear);
  float* to = state_->values.data(y.id());
  const ops::Residual* residual = epilogue.residual;
  const float* added = residual == nullptr ? nullptr : state_->data(residual->input);
  const bool recorded = state_->tape.recording() && needs_backward(*state_, x, linear, residual);
  // GELU's derivative wants what it was applied to.
  const bool keeps_gelu_input = recorded && epilogue.activation == ops::Activation::kGelu;
  const Value before = keeps_gelu_input ? state_->make_value(*this, shape) : Value();

  Branch branch(state_->tape, residual == nullptr ? nullptr : residual->gamma,
                residual == nullptr ? 0.0f : residual->drop_path, shape.channels, state_->batch);
  const Rows rows = branch.rows(state_->batch, shape.positions());
  branch.copy_dropped(added, shape.size(), to);
  const LinearLoop loop{.weights = weights,
                        .rows = rows,
                        .epilogue = {.activation = keeps_gelu_input ? kernels::GemmActivation::kNone
                                                                    : kernel_activation(epilogue.activation),
                                     .gamma = branch.factors()},
                        .from = state_->data(x),
                        .residual = added,
                        .product = keeps_gelu_input ? state_->values.data(before.id()) : to,
                        .activated = keeps_gelu_input ? to : nullptr};
  const RowTiles tiles(rows.count(), linear_tile_rows(weights.k), 1);
  const PanelChunks chunks(kernels::panel_count(weights.columns), tiles.size(), state_->pool.size());
  const SharedOperands operands(
      *state_, weights, {.count = tiles.size(), .tasks = chunks.size(), .most_rows = tiles.most_rows()},
      [&](std::int64_t tile, const float** a, Scratch&) { return loop.point(tiles.first(tile), tiles.rows(tile), a); });
  state_->parallel_for(
      tiles.size() * chunks.size(), 0, 3 * tiles.most_rows(), [&](std::int64_t index, Scratch& scratch) {
        const std::int64_t tile = index / chunks.size();
        const auto chunk = static_cast<std::int32_t>(index % chunks.size());
        loop.run(tiles.first(tile), tiles.rows(tile), operands[tile], chunks.first(chunk), chunks.last(chunk), scratch);
      });
  if (recorded) {
    LinearBackward backward{.x = x,
                            .activated = epilogue.activation == ops::Activation::kSigmoid ? y : Value(),
                            .before_gelu = before,
                            .linear = linear,
                            .gamma = residual == nullptr ? nullptr : residual->gamma,
                            .branch = std::move(branch),
                            .x_node = state_->needs_gradient(x) ? state_->node(x) : -1};
    if (residual != nullptr && state_->needs_gradient(residual->input)) {
      backward.residual_node = state_->node(residual->input);
    }
    state_->record(y, [this, backward = std::move(backward)](Value gradient) {
      backward.run(*this, *state_, std::move(gradient));
    });
  }
  return y;
}

}  // namespace gcvit::native
