// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include <nanobind/nanobind.h>

#include "gcvit/model.h"
#include "of_this_process.h"

namespace gcvit::python {

/// A model, with the pool of threads that it was opened with.
class HeldModel {
 public:
  explicit HeldModel(Model model) : model_(std::make_unique<Model>(std::move(model))) {}

  const Model& model() const { return *model_; }
  /// Of a session or pipeline that was asked to compute on `threads`, 0 for the model's: in a child of fork() that one is gone,
  /// and a pool of as many threads takes its place.
  int threads_for(int threads) const { return threads == 0 && !model_.is_alive() ? model_->threads() : threads; }

 private:
  OfThisProcess<Model> model_;
};

void bind_model(nanobind::module_& module);
void bind_classifier(nanobind::module_& module);
void bind_explain(nanobind::module_& module);
void bind_stream(nanobind::module_& module);

}  // namespace gcvit::python
