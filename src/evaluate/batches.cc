// SPDX-License-Identifier: Apache-2.0
#include "evaluate/batches.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/preprocess.h"

namespace gcvit::evaluate {

void for_each_batch(const data::ImageSet& images, const BatchOptions& options, ThreadPool& pool,
                    const std::function<void(std::span<const float> tensors)>& take,
                    const std::function<void(std::string_view error)>& progress) {
  const std::size_t size = options.preparation.tensor_size();
  const auto batch = static_cast<std::size_t>(options.batch);
  std::vector<float> tensors(batch * size);
  std::vector<std::string> errors(batch);
  for (std::size_t first = 0; first < images.samples.size(); first += batch) {
    const std::size_t count = std::min(batch, images.samples.size() - first);
    pool.parallel_for(static_cast<std::int64_t>(count), [&](std::int64_t i, int) {
      const auto at = static_cast<std::size_t>(i);
      errors[at].clear();
      try {
        image::preprocess(data::decode_sample(images.samples[first + at], options.preparation.decode),
                          options.preparation.preprocess, std::span(tensors).subspan(at * size, size));
      } catch (const Error& error) {
        errors[at] = error.what();
      }
    });
    std::size_t good = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!errors[i].empty()) continue;
      if (good != i) std::copy_n(tensors.data() + i * size, size, tensors.data() + good * size);
      ++good;
    }
    if (good > 0) take(std::span(tensors).first(good * size));
    for (std::size_t i = 0; i < count; ++i) progress(errors[i]);
  }
}

}  // namespace gcvit::evaluate
