// SPDX-License-Identifier: Apache-2.0
#include "explain/nearest.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace gcvit::explain {
namespace {

/// Rows that a thread compares with all queries before it goes on: they stay in its cache meanwhile.
constexpr std::size_t kBlock = 64;
/// Sums that a compiler can keep in a vector; their number fixes the order of additions.
constexpr std::size_t kSums = 8;

double dot(const float* a, const float* b, std::size_t size) {
  std::array<double, kSums> sums{};
  std::size_t i = 0;
  for (; i + kSums <= size; i += kSums) {
    for (std::size_t s = 0; s < kSums; ++s) sums[s] += double{a[i + s]} * double{b[i + s]};
  }
  for (; i < size; ++i) sums[i % kSums] += double{a[i]} * double{b[i]};
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

/// Whether `a` comes before `b` in an answer.
bool is_nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
}

/// Keeps the `count` nearest, the farthest of them in front.
void keep(std::vector<Neighbour>& nearest, const Neighbour& one, std::size_t count) {
  if (nearest.size() == count) {
    if (!is_nearer(one, nearest.front())) return;
    std::ranges::pop_heap(nearest, is_nearer);
    nearest.back() = one;
  } else {
    nearest.push_back(one);
  }
  std::ranges::push_heap(nearest, is_nearer);
}

}  // namespace

std::vector<std::vector<Neighbour>> nearest_rows(std::span<const float> rows, std::span<const float> queries,
                                                 std::size_t size, std::size_t count, ThreadPool& pool) {
  if (size == 0 || rows.size() % size != 0 || queries.size() % size != 0) {
    fail(ErrorCode::kInvalidArgument, "[similar] expected whole vectors of {} floats, found {} and {}", size,
         rows.size(), queries.size());
  }
  if (count == 0) fail(ErrorCode::kInvalidArgument, "[similar] expected at least 1 row to be wanted, found 0");
  const std::size_t row_count = rows.size() / size;
  const std::size_t query_count = queries.size() / size;
  std::vector<double> lengths(query_count);
  for (std::size_t q = 0; q < query_count; ++q) {
    lengths[q] = std::sqrt(dot(&queries[q * size], &queries[q * size], size));
  }
  using Found = std::vector<std::vector<Neighbour>>;
  std::vector<Found> found(static_cast<std::size_t>(pool.size()), Found(query_count));
  const std::size_t blocks = (row_count + kBlock - 1) / kBlock;
  pool.parallel_for(static_cast<std::int64_t>(blocks), [&](std::int64_t block, int worker) {
    Found& own = found[static_cast<std::size_t>(worker)];
    const std::size_t first = static_cast<std::size_t>(block) * kBlock;
    const std::size_t end = std::min(first + kBlock, row_count);
    std::array<double, kBlock> row_lengths{};
    for (std::size_t row = first; row < end; ++row) {
      row_lengths[row - first] = std::sqrt(dot(&rows[row * size], &rows[row * size], size));
    }
    for (std::size_t q = 0; q < query_count; ++q) {
      for (std::size_t row = first; row < end; ++row) {
        const double lengths_of_both = lengths[q] * row_lengths[row - first];
        const double similarity =
            lengths_of_both > 0 ? dot(&queries[q * size], &rows[row * size], size) / lengths_of_both : 0.0;
        keep(own[q], {row, std::clamp(similarity, -1.0, 1.0)}, count);
      }
    }
  });
  Found nearest(query_count);
  for (std::size_t q = 0; q < query_count; ++q) {
    for (const Found& own : found) {
      for (const Neighbour& one : own[q]) keep(nearest[q], one, count);
    }
    std::ranges::sort(nearest[q], is_nearer);
  }
  return nearest;
}

}  // namespace gcvit::explain
