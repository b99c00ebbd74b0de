// SPDX-License-Identifier: Apache-2.0
// The one place where inference chooses what computes.
#pragma once

#include <memory>

#include "base/thread_pool.h"
#include "gcvit/model.h"
#include "ops/executor.h"
#include "ops/training_executor.h"

namespace gcvit::inference {

/// For an opened model: computes on its device, with its packed weights, in its precision. `pool` must outlive it.
std::unique_ptr<ops::Executor> make_executor(const Model& model, ThreadPool& pool);

/// The same, and it goes backward: from a value to values before it. Parameters have no gradient, as their values may be packed alone.
std::unique_ptr<ops::TrainingExecutor> make_differentiating_executor(const Model& model, ThreadPool& pool);

/// For a model whose parameters have values, which it packs for itself. `pool` must outlive it.
std::unique_ptr<ops::Executor> make_executor(ThreadPool& pool);

}  // namespace gcvit::inference
