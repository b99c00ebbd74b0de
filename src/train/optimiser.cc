// SPDX-License-Identifier: Apache-2.0
#include "train/optimiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/optimiser.h"
#include "tensor/error.h"

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
    : recipe_(recipe), parameters_(parameters.begin(), parameters.end()), groups_(std::move(groups)), pool_(pool) {
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
  const bool decoupled = recipe_.optimizer == "adamw";

  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (groups_[p].trainable) weights_[p] = parameters_[p]->tensor.mutable_values();
  }
  pool_.parallel_for(static_cast<std::int64_t>(pieces_.size()), [&](std::int64_t index, int) {
    const Piece& piece = pieces_[static_cast<std::size_t>(index)];
    const ops::Parameter& parameter = *parameters_[piece.parameter];
    const ParameterGroup& group = groups_[piece.parameter];
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
    if (groups_[p].trainable) ++parameters_[p]->version;
  }
  ++updates_;
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
