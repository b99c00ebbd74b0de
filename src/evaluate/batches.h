// SPDX-License-Identifier: Apache-2.0
// Photos as tensors, some at a time.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "data/image_set.h"
#include "inference/preparation.h"

namespace gcvit::evaluate {

struct BatchOptions {
  inference::Preparation preparation;
  int batch = 8;
};

/// Prepares the photos on the pool, `batch` at a time, and gives `take` the tensors of those that can be read. `progress` is called
/// after each photo, with its error or an empty text.
void for_each_batch(const data::ImageSet& images, const BatchOptions& options, ThreadPool& pool,
                    const std::function<void(std::span<const float> tensors)>& take,
                    const std::function<void(std::string_view error)>& progress);

}  // namespace gcvit::evaluate
