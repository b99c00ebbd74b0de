// SPDX-License-Identifier: Apache-2.0
// Vectors of parameters and the optimiser's step as plain loops in double precision.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/error.h"
#include "ops/training_executor.h"
#include "tests/testing/orthogonalised.h"

namespace gcvit::testing {

struct ScalarVector final : ops::ParameterVector {
  explicit ScalarVector(std::span<const ops::Parameter* const> parameters) {
    for (const ops::Parameter* parameter : parameters) {
      elements.emplace_back(static_cast<std::size_t>(element_count(parameter->dims)));
    }
    floats_.resize(elements.size());
  }

  static ScalarVector& own(ops::ParameterVector& vector) {
    return const_cast<ScalarVector&>(own(std::as_const(vector)));
  }
  static const ScalarVector& own(const ops::ParameterVector& vector) {
    const auto* own = dynamic_cast<const ScalarVector*>(&vector);
    if (own == nullptr) fail("[scalar] expected a parameter vector of this executor, found one of another");
    return *own;
  }

  std::vector<double>& of(const ops::Parameter& parameter) {
    return elements.at(static_cast<std::size_t>(parameter.id));
  }
  const std::vector<double>& of(const ops::Parameter& parameter) const {
    return elements.at(static_cast<std::size_t>(parameter.id));
  }
  std::span<const float> read(const ops::Parameter& parameter) const override {
    std::vector<float>& floats = floats_.at(static_cast<std::size_t>(parameter.id));
    floats.clear();
    for (const double element : of(parameter)) floats.push_back(static_cast<float>(element));
    return floats;
  }
  void write(const ops::Parameter& parameter, std::span<const float> values) override {
    if (values.size() != of(parameter).size()) fail("[scalar] expected {} values", of(parameter).size());
    of(parameter).assign(values.begin(), values.end());
  }

  template <typename Body>
  void for_each(const Body& body) {
    for (std::size_t id = 0; id < elements.size(); ++id) {
      for (std::size_t i = 0; i < elements[id].size(); ++i) body(id, i, elements[id][i]);
    }
  }

  std::vector<std::vector<double>> elements;  ///< by parameter id

 private:
  mutable std::vector<std::vector<float>> floats_;  ///< what `read` gives out
};

/// The new weights of one parameter; `m` and `v` are its moments, null where there are none.
inline std::vector<double> updated(const ops::Update& update, std::vector<double> w, std::vector<double> g,
                                   std::vector<double>* m, std::vector<double>* v, std::size_t rows) {
  if (const auto* sgd = std::get_if<ops::SgdUpdate>(&update)) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      g[i] += sgd->weight_decay * w[i];
      if (m != nullptr) g[i] = (*m)[i] = sgd->momentum * (*m)[i] + g[i];
      w[i] -= sgd->learning_rate * g[i];
    }
  } else if (const auto* adam = std::get_if<ops::AdamUpdate>(&update)) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      g[i] += adam->weight_decay * w[i];
      w[i] *= 1.0 - adam->decay;
      (*m)[i] = adam->beta1 * (*m)[i] + (1.0 - adam->beta1) * g[i];
      (*v)[i] = adam->beta2 * (*v)[i] + (1.0 - adam->beta2) * g[i] * g[i];
      w[i] -= adam->step_size * (*m)[i] / (std::sqrt((*v)[i]) + adam->epsilon);
    }
  } else if (const auto* muon = std::get_if<ops::MuonUpdate>(&update)) {
    const double mu = muon->momentum;
    for (std::size_t i = 0; i < w.size(); ++i) {
      (*m)[i] = mu * (*m)[i] + (1.0 - mu) * g[i];
      g[i] = mu * (*m)[i] + (1.0 - mu) * g[i];
    }
    const std::vector<double> direction = orthogonalised(std::span<const double>(g), rows, g.size() / rows);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = (1.0 - muon->decay) * w[i] - muon->step_size * direction[i];
  }
  return w;
}

inline void scalar_step(const ops::OptimiserStep& step) {
  for (std::size_t p = 0; p < step.parameters.size(); ++p) {
    ops::Parameter& parameter = *step.parameters[p];
    if (std::holds_alternative<std::monostate>(step.updates[p])) continue;
    const auto moment = [&](ops::ParameterVector* vector) {
      return vector == nullptr ? nullptr : &ScalarVector::own(*vector).of(parameter);
    };
    const std::span<float> weights = parameter.tensor.mutable_values();
    std::vector<double> gradient = ScalarVector::own(step.gradients).of(parameter);
    for (double& element : gradient) element *= step.gradient_scale;
    const std::vector<double> result =
        updated(step.updates[p], {weights.begin(), weights.end()}, gradient, moment(step.first), moment(step.second),
                static_cast<std::size_t>(parameter.dims[0]));
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<float>(result[i]);
      if (step.average == nullptr) continue;
      double& average = ScalarVector::own(*step.average).of(parameter)[i];
      average = step.ema_decay * average + (1.0 - step.ema_decay) * result[i];
    }
    ++parameter.version;
  }
}

}  // namespace gcvit::testing
