// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace gcvit::explain {

struct Neighbour {
  std::size_t row = 0;
  double similarity = 0;  ///< cosine, -1 to 1
};

/// For each query the `count` rows of the largest cosine, the most similar first, the lower row first among equals; all rows where there are
/// fewer. `rows` [n, size] and `queries` [m, size] hold finite floats; the cosine with a vector of zeros is 0. Exact: every row is looked
/// at, and the same rows and queries give the same bits on any number of threads. Throws `Error` where `size` or `count` is 0 or the
/// spans aren't whole vectors.
std::vector<std::vector<Neighbour>> nearest_rows(std::span<const float> rows, std::span<const float> queries,
                                                 std::size_t size, std::size_t count, ThreadPool& pool);

}  // namespace gcvit::explain
