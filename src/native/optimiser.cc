// SPDX-License-Identifier: Apache-2.0
// What training does with vectors of parameters: sums and norms of gradients, and the optimiser's step in one pass over
// the weights.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/optimiser.h"
#include "kernels/rows.h"
#include "native/native_backend.h"
#include "native/parameter_vector.h"
#include "native/state.h"
#include "ops/training_executor.h"
#include "base/error.h"

namespace gcvit::native {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 14;

/// A part of one parameter that one worker takes.
struct Piece {
  std::size_t parameter;
  std::size_t begin;
  std::int64_t count;
};

/// The parameters for which `takes(index)`, cut into pieces.
template <typename Parameters, typename Takes>
std::vector<Piece> pieces_of(const Parameters& parameters, const Takes& takes) {
  std::vector<Piece> pieces;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (!takes(p)) continue;
    const auto size = static_cast<std::size_t>(element_count(parameters[p]->dims));
    for (std::size_t begin = 0; begin < size; begin += kPiece) {
      pieces.push_back({p, begin, static_cast<std::int64_t>(std::min(kPiece, size - begin))});
    }
  }
  return pieces;
}

float* at(ops::ParameterVector* vector, const ops::Parameter& parameter, const Piece& piece) {
  return vector == nullptr ? nullptr : own(*vector).of(parameter).data() + piece.begin;
}

void update_piece(const ops::OptimiserStep& step, const Piece& piece, std::span<float> weights) {
  const ops::Parameter& parameter = *step.parameters[piece.parameter];
  const float* gradient = own(step.gradients).of(parameter).data() + piece.begin;
  float* weight = weights.data() + piece.begin;
  float* first = at(step.first, parameter, piece);
  float* average = at(step.average, parameter, piece);
  if (const auto* sgd = std::get_if<ops::SgdUpdate>(&step.updates[piece.parameter])) {
    kernels::sgd_step({.learning_rate = sgd->learning_rate,
                       .momentum = sgd->momentum,
                       .nesterov = false,
                       .weight_decay = sgd->weight_decay,
                       .gradient_scale = step.gradient_scale,
                       .ema_decay = step.ema_decay},
                      piece.count, gradient, weight, first, average);
  } else if (const auto* adam = std::get_if<ops::AdamUpdate>(&step.updates[piece.parameter])) {
    kernels::adam_step({.step_size = adam->step_size,
                        .beta1 = adam->beta1,
                        .beta2 = adam->beta2,
                        .epsilon = adam->epsilon,
                        .weight_decay = adam->weight_decay,
                        .decay = adam->decay,
                        .gradient_scale = step.gradient_scale,
                        .ema_decay = step.ema_decay},
                       piece.count, gradient, weight, first, at(step.second, parameter, piece), average);
  }
}

/// Throws `Error` unless the step has an update for each parameter and the moments that these need.
void check(const ops::OptimiserStep& step) {
  if (step.updates.size() != step.parameters.size()) {
    fail("[native] step: expected {} updates, found {}", step.parameters.size(), step.updates.size());
  }
  for (const ops::Update& update : step.updates) {
    const bool adam = std::holds_alternative<ops::AdamUpdate>(update);
    const bool first = adam || std::holds_alternative<ops::MuonUpdate>(update);
    if ((first && step.first == nullptr) || (adam && step.second == nullptr)) {
      fail("[native] step: expected the moments that its updates need");
    }
  }
}

}  // namespace

std::unique_ptr<ops::ParameterVector> NativeBackend::make_vector(std::span<const ops::Parameter* const> parameters) {
  return std::make_unique<ParameterVector>(parameters);
}

void NativeBackend::add(ops::ParameterVector& to, const ops::ParameterVector& from) {
  const std::span<float> a = own(to).all();
  const std::span<const float> b = own(from).all();
  if (a.size() != b.size()) fail("[native] add: expected two vectors of one model");
  state_->add_to(a.data(), b.data(), static_cast<std::int64_t>(a.size()));
}

void NativeBackend::scale(ops::ParameterVector& vector, float factor) {
  for (float& value : own(vector).all()) value *= factor;
}

double NativeBackend::norm(const ops::ParameterVector& vector, std::span<const ops::Parameter* const> parameters) {
  const std::vector<Piece> pieces = pieces_of(parameters, [](std::size_t) { return true; });
  std::vector<double> squares(pieces.size());
  state_->pool.parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t index, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(index)];
    const float* values = own(vector).of(*parameters[piece.parameter]).data() + piece.begin;
    squares[static_cast<std::size_t>(index)] = kernels::squared_norm(values, piece.count);
  });
  double sum = 0.0;
  for (const double square : squares) sum += square;
  return std::sqrt(sum);
}

void NativeBackend::step(const ops::OptimiserStep& step) {
  check(step);
  std::vector<std::span<float>>& weights = state_->weights;
  weights.resize(step.parameters.size());
  const auto is = [&]<typename Kind>(std::size_t p, Kind) { return std::holds_alternative<Kind>(step.updates[p]); };
  for (std::size_t p = 0; p < step.parameters.size(); ++p) {
    if (!is(p, std::monostate())) weights[p] = step.parameters[p]->tensor.mutable_values();
  }
  const std::vector<Piece> pieces =
      pieces_of(step.parameters, [&](std::size_t p) { return is(p, ops::SgdUpdate()) || is(p, ops::AdamUpdate()); });
  state_->pool.parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t index, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(index)];
    update_piece(step, piece, weights[piece.parameter]);
  });
  for (std::size_t p = 0; p < step.parameters.size(); ++p) {
    ops::Parameter& parameter = *step.parameters[p];
    if (const auto* muon = std::get_if<ops::MuonUpdate>(&step.updates[p])) {
      state_->update_matrix(step, parameter, *muon, weights[p]);
    }
    if (!is(p, std::monostate())) ++parameter.version;
  }
}

void NativeBackend::State::update_matrix(const ops::OptimiserStep& step, const ops::Parameter& parameter,
                                         const ops::MuonUpdate& update, std::span<float> weight) {
  const std::span<const float> gradient = own(step.gradients).of(parameter);
  const std::span<float> momentum = own(*step.first).of(parameter);
  const auto scale = static_cast<float>(step.gradient_scale);
  const auto mu = static_cast<float>(update.momentum);
  matrix.resize(weight.size());
  const auto for_each = [&](const auto& body) {
    const std::size_t pieces = (weight.size() + kPiece - 1) / kPiece;
    pool.parallel_for(static_cast<std::int64_t>(pieces), [&](std::int64_t piece, int) {
      const std::size_t begin = static_cast<std::size_t>(piece) * kPiece;
      const std::size_t end = std::min(begin + kPiece, weight.size());
      for (std::size_t i = begin; i < end; ++i) body(i);
    });
  };
  for_each([&](std::size_t i) {
    const float g = scale * gradient[i];
    momentum[i] = mu * momentum[i] + (1.0f - mu) * g;
    matrix[i] = mu * momentum[i] + (1.0f - mu) * g;
  });
  const std::int64_t rows = parameter.dims[0];
  orthogonaliser.run(matrix, rows, static_cast<std::int64_t>(weight.size()) / rows);
  const auto step_size = static_cast<float>(update.step_size);
  const auto keep = static_cast<float>(1.0 - update.decay);
  const auto ema_decay = static_cast<float>(step.ema_decay);
  float* average = step.average == nullptr ? nullptr : own(*step.average).of(parameter).data();
  for_each([&](std::size_t i) {
    weight[i] = keep * weight[i] - step_size * matrix[i];
    if (average != nullptr) average[i] = ema_decay * average[i] + (1.0f - ema_decay) * weight[i];
  });
}

void NativeBackend::swap(ops::ParameterVector& vector, std::span<ops::Parameter* const> parameters) {
  for (ops::Parameter* parameter : parameters) {
    const std::span<float> values = own(vector).of(*parameter);
    std::ranges::swap_ranges(values, parameter->tensor.mutable_values());
    ++parameter->version;
  }
}

void NativeBackend::update_tensors(std::span<ops::Parameter* const>) {}

}  // namespace gcvit::native
