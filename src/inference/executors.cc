// SPDX-License-Identifier: Apache-2.0
#include "inference/executors.h"

#include "inference/model_state.h"
#include "native/native_backend.h"

namespace gcvit::inference {

std::unique_ptr<ops::Executor> make_executor(const Model& model, ThreadPool& pool) {
  return std::make_unique<native::NativeBackend>(pool, model.state().packed);
}

std::unique_ptr<ops::TrainingExecutor> make_differentiating_executor(const Model& model, ThreadPool& pool) {
  return std::make_unique<native::NativeBackend>(pool, model.state().packed);
}

std::unique_ptr<ops::Executor> make_executor(ThreadPool& pool) { return std::make_unique<native::NativeBackend>(pool); }

}  // namespace gcvit::inference
