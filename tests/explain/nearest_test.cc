// SPDX-License-Identifier: Apache-2.0
#include "explain/nearest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace gcvit::explain {
namespace {

std::vector<float> random_vectors(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform() - 0.5f;
  return values;
}

/// All rows, ordered by their cosine with `query` as long double sums have it.
std::vector<std::size_t> ordered_rows(const std::vector<float>& rows, const float* query, std::size_t size) {
  std::vector<std::pair<long double, std::size_t>> found;
  for (std::size_t row = 0; row < rows.size() / size; ++row) {
    long double product = 0;
    long double length = 0;
    for (std::size_t i = 0; i < size; ++i) {
      product += static_cast<long double>(rows[row * size + i]) * query[i];
      length += static_cast<long double>(rows[row * size + i]) * rows[row * size + i];
    }
    found.emplace_back(-product / std::sqrt(length), row);
  }
  std::ranges::sort(found);
  std::vector<std::size_t> order;
  for (const auto& one : found) order.push_back(one.second);
  return order;
}

TEST(Nearest, FindsWhatComparingAllRowsFindsOnAnyNumberOfThreads) {
  constexpr std::size_t kSize = 19;
  const std::vector<float> rows = random_vectors(500 * kSize, 1);
  const std::vector<float> queries = random_vectors(7 * kSize, 2);
  ThreadPool one(1);
  ThreadPool three(3);
  const auto found = nearest_rows(rows, queries, kSize, 9, one);
  const auto again = nearest_rows(rows, queries, kSize, 9, three);
  ASSERT_EQ(found.size(), 7u);
  for (std::size_t q = 0; q < 7; ++q) {
    const std::vector<std::size_t> expected = ordered_rows(rows, &queries[q * kSize], kSize);
    ASSERT_EQ(found[q].size(), 9u);
    for (std::size_t i = 0; i < 9; ++i) {
      EXPECT_EQ(found[q][i].row, expected[i]);
      EXPECT_EQ(again[q][i].row, expected[i]);
      EXPECT_EQ(again[q][i].similarity, found[q][i].similarity);
    }
  }
}

TEST(Nearest, EqualRowsComeInTheirOrder) {
  std::vector<float> rows;
  for (int row = 0; row < 200; ++row) rows.insert(rows.end(), {3.0f, 4.0f});
  rows[2 * 130] = 30.0f;
  rows[2 * 130 + 1] = 40.0f;  // the same direction
  ThreadPool pool(2);
  const auto found = nearest_rows(rows, std::vector<float>{6.0f, 8.0f}, 2, 3, pool);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[0][i].row, i);
    EXPECT_DOUBLE_EQ(found[0][i].similarity, 1.0);
  }
}

TEST(Nearest, ZerosAreLikeNothingAndFewRowsAllCome) {
  ThreadPool pool(1);
  const std::vector<float> rows = {-1.0f, 0.0f, 0.0f, 0.0f, 2.0f, 0.0f};
  const auto found = nearest_rows(rows, std::vector<float>{1.0f, 0.0f}, 2, 10, pool);
  ASSERT_EQ(found[0].size(), 3u);
  EXPECT_EQ(found[0][0].row, 2u);
  EXPECT_EQ(found[0][1].row, 1u);
  EXPECT_EQ(found[0][1].similarity, 0.0);
  EXPECT_EQ(found[0][2].similarity, -1.0);
}

TEST(Nearest, RefusesPartsOfVectors) {
  ThreadPool pool(1);
  const std::vector<float> five(5, 1.0f);
  EXPECT_THROW(nearest_rows(five, five, 2, 1, pool), Error);
  EXPECT_THROW(nearest_rows(five, five, 0, 1, pool), Error);
  EXPECT_THROW(nearest_rows(five, five, 5, 0, pool), Error);
}

}  // namespace
}  // namespace gcvit::explain
