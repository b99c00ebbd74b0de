// SPDX-License-Identifier: Apache-2.0
#include "train/optimiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace gcvit::train {

Optimiser::Optimiser(const Recipe& recipe, std::span<ops::Parameter* const> parameters,
                     std::vector<ParameterGroup> groups, ops::TrainingExecutor& executor)
    : recipe_(recipe),
      executor_(executor),
      parameters_(parameters.begin(), parameters.end()),
      groups_(std::move(groups)) {
  if (groups_.size() != parameters_.size()) {
    fail("[train] expected {} parameter groups, found {}", parameters_.size(), groups_.size());
  }
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (groups_[p].trainable) trained_.push_back(parameters_[p]);
  }
  const bool sgd = recipe_.optimizer == "sgd";
  const std::vector<const ops::Parameter*> all(parameters_.begin(), parameters_.end());
  if (!sgd || recipe_.momentum > 0.0) first_ = executor_.make_vector(all);
  if (!sgd) second_ = executor_.make_vector(all);
  if (recipe_.ema_decay > 0.0) {
    average_ = executor_.make_vector(all);
    for (const ops::Parameter* parameter : all) average_->write(*parameter, parameter->tensor.values());
  }
}

double Optimiser::gradient_norm(const ops::ParameterVector& gradients) {
  return executor_.norm(gradients, std::vector<const ops::Parameter*>(trained_.begin(), trained_.end()));
}

ops::Update Optimiser::update_of(std::size_t index, double lr) const {
  const ParameterGroup& group = groups_[index];
  if (!group.trainable) return std::monostate();
  const double rate = lr * group.lr_factor;
  const double decay = group.decayed ? recipe_.weight_decay : 0.0;
  if (group.orthogonalised) {
    constexpr double kSizeOfAdams = 0.2;
    const ops::Parameter& parameter = *parameters_[index];
    const std::int64_t rows = parameter.dims[0];
    const std::int64_t columns = element_count(parameter.dims) / rows;
    return ops::MuonUpdate{.step_size = rate * kSizeOfAdams * std::sqrt(static_cast<double>(std::max(rows, columns))),
                           .momentum = recipe_.momentum,
                           .decay = rate * decay};
  }
  if (recipe_.optimizer == "sgd") {
    return ops::SgdUpdate{.learning_rate = rate, .momentum = recipe_.momentum, .weight_decay = decay};
  }
  const auto done = static_cast<double>(updates_);
  const double correction1 = 1.0 - std::pow(recipe_.beta1, done + 1.0);
  const double root2 = std::sqrt(1.0 - std::pow(recipe_.beta2, done + 1.0));
  const bool decoupled = recipe_.optimizer != "adam";
  return ops::AdamUpdate{.step_size = rate * root2 / correction1,
                         .beta1 = recipe_.beta1,
                         .beta2 = recipe_.beta2,
                         .epsilon = recipe_.adam_form == "keras" ? recipe_.adam_epsilon : recipe_.adam_epsilon * root2,
                         .weight_decay = decoupled ? 0.0 : decay,
                         .decay = decoupled ? rate * decay : 0.0};
}

void Optimiser::step(const ops::ParameterVector& gradients, double lr, double norm) {
  constexpr double kClipEpsilon = 1e-6;
  const auto done = static_cast<double>(updates_);
  updates_of_step_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) updates_of_step_.push_back(update_of(p, lr));
  executor_.step(
      {.parameters = parameters_,
       .updates = updates_of_step_,
       .gradients = gradients,
       .gradient_scale = recipe_.clip_grad > 0.0 ? std::min(1.0, recipe_.clip_grad / (norm + kClipEpsilon)) : 1.0,
       .first = first_.get(),
       .second = second_.get(),
       .average = average_.get(),
       .ema_decay = std::min(recipe_.ema_decay, (1.0 + done) / (10.0 + done))});
  ++updates_;
}

void Optimiser::swap_average() { executor_.swap(*average_, trained_); }

std::vector<Optimiser::Slot> Optimiser::slots() {
  std::vector<Slot> slots;
  const bool sgd = recipe_.optimizer == "sgd";
  if (!sgd) {
    slots.push_back({"m", first_.get()});
    slots.push_back({"v", second_.get()});
  } else if (recipe_.momentum > 0.0) {
    slots.push_back({"momentum", first_.get()});
  }
  if (average_) slots.push_back({"ema", average_.get()});
  return slots;
}

}  // namespace gcvit::train
