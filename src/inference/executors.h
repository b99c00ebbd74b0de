// SPDX-License-Identifier: Apache-2.0
// The one place where inference chooses what computes.
#pragma once

#include <memory>

#include "base/thread_pool.h"
#include "gcvit/model.h"
#include "ops/executor.h"

namespace gcvit::inference {

/// For an opened model: computes on its device, with its packed weights, in its precision. `pool` must outlive it.
std::unique_ptr<ops::Executor> make_executor(const Model& model, ThreadPool& pool);

/// For a model whose parameters have values, which it packs for itself. `pool` must outlive it.
std::unique_ptr<ops::Executor> make_executor(ThreadPool& pool);

}  // namespace gcvit::inference
