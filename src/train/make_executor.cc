// SPDX-License-Identifier: Apache-2.0
#include "train/make_executor.h"

#include "native/native_backend.h"

namespace gcvit::train {

std::unique_ptr<ops::TrainingExecutor> make_executor(ThreadPool& pool) {
  return std::make_unique<native::NativeBackend>(pool);
}

}  // namespace gcvit::train
