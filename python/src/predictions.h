// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "gcvit/model.h"

namespace gcvit::python {

/// (label, probability, index) of the `k` best classes.
inline nanobind::list predictions_of(const Model& model, std::span<const float> logits, int k) {
  nanobind::list predictions;
  for (const Prediction& one : model.predictions(logits, k)) {
    predictions.append(nanobind::make_tuple(one.label, one.probability, one.index));
  }
  return predictions;
}

}  // namespace gcvit::python
