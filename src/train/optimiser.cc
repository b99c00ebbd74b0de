// SPDX-License-Identifier: Apache-2.0
#include "train/optimiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/optimiser.h"
#include "base/error.h"

namespace gcvit::train {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 14;

void copy_weights(std::span<ops::Parameter* const> parameters, native::ParameterVector& to) {
  for (const ops::Parameter* parameter : parameters) {
    const std::span<const float> values = parameter->tensor.values();
    std::copy(values.begin(), values.end(), to.of(*parameter).begin());
  }
}

}  // namespace

Optimiser::Optimiser(const Recipe& recipe, std::span<ops::Parameter* const> parameters,
                     std::vector<ParameterGroup> groups, ThreadPool& pool)
    : recipe_(recipe),
      parameters_(parameters.begin(), parameters.end()),
      groups_(std::move(groups)),
      pool_(pool),
      orthogonaliser_(pool) {
  if (groups_.size() != parameters_.size()) {
    fail("[train] expected {} parameter groups, found {}", parameters_.size(), groups_.size());
  }
  const bool sgd = recipe_.optimizer == "sgd";
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (!groups_[p].trainable) continue;
    const auto size = static_cast<std::size_t>(element_count(parameters_[p]->dims));
    for (std::size_t begin = 0; begin < size; begin += kPiece) {
      pieces_.push_back({p, begin, std::min(kPiece, size - begin)});
    }
  }
  squares_.resize(pieces_.size());
  weights_.resize(parameters_.size());
  const std::vector<const ops::Parameter*> all(parameters_.begin(), parameters_.end());
  if (!sgd || recipe_.momentum > 0.0) first_ = native::ParameterVector(all);
  if (!sgd) second_ = native::ParameterVector(all);
  if (recipe_.ema_decay > 0.0) {
    average_ = std::make_unique<native::ParameterVector>(all);
    copy_weights(parameters_, *average_);
  }
}

double Optimiser::gradient_norm(const native::ParameterVector& gradients) {
  pool_.parallel_for(static_cast<std::int64_t>(pieces_.size()), [&](std::int64_t index, int) {
    const Piece& piece = pieces_[static_cast<std::size_t>(index)];
    const float* gradient = gradients.of(*parameters_[piece.parameter]).data() + piece.begin;
    squares_[static_cast<std::size_t>(index)] = kernels::squared_norm(gradient, static_cast<std::int64_t>(piece.count));
  });
  double sum = 0.0;
  for (const double square : squares_) sum += square;
  return std::sqrt(sum);
}

void Optimiser::step(const native::ParameterVector& gradients, double lr, double norm) {
  constexpr double kClipEpsilon = 1e-6;
  const double clip = recipe_.clip_grad > 0.0 ? std::min(1.0, recipe_.clip_grad / (norm + kClipEpsilon)) : 1.0;
  const auto done = static_cast<double>(updates_);
  const double ema_decay = std::min(recipe_.ema_decay, (1.0 + done) / (10.0 + done));
  const double correction1 = 1.0 - std::pow(recipe_.beta1, done + 1.0);
  const double root2 = std::sqrt(1.0 - std::pow(recipe_.beta2, done + 1.0));
  const double epsilon = recipe_.adam_form == "keras" ? recipe_.adam_epsilon : recipe_.adam_epsilon * root2;
  const bool sgd = recipe_.optimizer == "sgd";
  const bool decoupled = recipe_.optimizer != "adam";

  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (groups_[p].trainable) weights_[p] = parameters_[p]->tensor.mutable_values();
  }
  pool_.parallel_for(static_cast<std::int64_t>(pieces_.size()), [&](std::int64_t index, int) {
    const Piece& piece = pieces_[static_cast<std::size_t>(index)];
    const ops::Parameter& parameter = *parameters_[piece.parameter];
    const ParameterGroup& group = groups_[piece.parameter];
    if (group.orthogonalised) return;
    const double rate = lr * group.lr_factor;
    const double decay = group.decayed ? recipe_.weight_decay : 0.0;
    const auto at = [&](native::ParameterVector& vector) { return vector.of(parameter).data() + piece.begin; };
    const auto count = static_cast<std::int64_t>(piece.count);
    const float* gradient = gradients.of(parameter).data() + piece.begin;
    float* weight = weights_[piece.parameter].data() + piece.begin;
    float* ema = average_ ? at(*average_) : nullptr;
    if (sgd) {
      kernels::sgd_step({.learning_rate = rate,
                         .momentum = recipe_.momentum,
                         .nesterov = false,
                         .weight_decay = decay,
                         .gradient_scale = clip,
                         .ema_decay = ema_decay},
                        count, gradient, weight, recipe_.momentum > 0.0 ? at(first_) : nullptr, ema);
    } else {
      kernels::adam_step({.step_size = rate * root2 / correction1,
                          .beta1 = recipe_.beta1,
                          .beta2 = recipe_.beta2,
                          .epsilon = epsilon,
                          .weight_decay = decoupled ? 0.0 : decay,
                          .decay = decoupled ? rate * decay : 0.0,
                          .gradient_scale = clip,
                          .ema_decay = ema_decay},
                         count, gradient, weight, at(first_), at(second_), ema);
    }
  });
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (!groups_[p].trainable) continue;
    if (groups_[p].orthogonalised) step_matrix(p, gradients, lr * groups_[p].lr_factor, clip, ema_decay);
    ++parameters_[p]->version;
  }
  ++updates_;
}

void Optimiser::step_matrix(std::size_t index, const native::ParameterVector& gradients, double rate, double clip,
                            double ema_decay) {
  const ops::Parameter& parameter = *parameters_[index];
  const std::span<const float> gradient = gradients.of(parameter);
  const std::span<float> momentum = first_.of(parameter);
  const std::span<float> weight = weights_[index];
  const std::int64_t rows = parameter.dims[0];
  const std::int64_t columns = static_cast<std::int64_t>(weight.size()) / rows;
  const auto scale = static_cast<float>(clip);
  const auto mu = static_cast<float>(recipe_.momentum);
  matrix_.resize(weight.size());
  const auto for_each_piece = [&](const auto& body) {
    const std::size_t pieces = (weight.size() + kPiece - 1) / kPiece;
    pool_.parallel_for(static_cast<std::int64_t>(pieces), [&](std::int64_t piece, int) {
      const std::size_t begin = static_cast<std::size_t>(piece) * kPiece;
      const std::size_t end = std::min(begin + kPiece, weight.size());
      for (std::size_t i = begin; i < end; ++i) body(i);
    });
  };
  for_each_piece([&](std::size_t i) {
    const float g = scale * gradient[i];
    momentum[i] = mu * momentum[i] + (1.0f - mu) * g;
    matrix_[i] = mu * momentum[i] + (1.0f - mu) * g;
  });
  orthogonaliser_.run(matrix_, rows, columns);
  constexpr double kSizeOfAdams = 0.2;
  const auto step = static_cast<float>(rate * kSizeOfAdams * std::sqrt(static_cast<double>(std::max(rows, columns))));
  const auto keep = static_cast<float>(1.0 - (groups_[index].decayed ? rate * recipe_.weight_decay : 0.0));
  const auto decay = static_cast<float>(ema_decay);
  float* average = average_ ? average_->of(parameter).data() : nullptr;
  for_each_piece([&](std::size_t i) {
    weight[i] = keep * weight[i] - step * matrix_[i];
    if (average != nullptr) average[i] = decay * average[i] + (1.0f - decay) * weight[i];
  });
}

void Optimiser::swap_average() {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (!groups_[p].trainable) continue;
    const std::span<float> average = average_->of(*parameters_[p]);
    std::ranges::swap_ranges(average, parameters_[p]->tensor.mutable_values());
    ++parameters_[p]->version;
  }
}

std::vector<Optimiser::Slot> Optimiser::slots() {
  std::vector<Slot> slots;
  const bool sgd = recipe_.optimizer == "sgd";
  if (!sgd) {
    slots.push_back({"m", &first_});
    slots.push_back({"v", &second_});
  } else if (recipe_.momentum > 0.0) {
    slots.push_back({"momentum", &first_});
  }
  if (average_) slots.push_back({"ema", average_.get()});
  return slots;
}

}  // namespace gcvit::train
