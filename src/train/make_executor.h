// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/thread_pool.h"
#include "ops/training_executor.h"

namespace gcvit::train {

/// What a run computes on: this CPU. `pool` must outlive it.
std::unique_ptr<ops::TrainingExecutor> make_executor(ThreadPool& pool);

}  // namespace gcvit::train
