// SPDX-License-Identifier: Apache-2.0
// Muon's orthogonalisation against the same polynomial in double precision, and what it is for: singular values near 1.
#include "native/orthogonaliser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/native/test_model.h"
#include "tests/testing/orthogonalised.h"

namespace gcvit::native {
namespace {

TEST(Orthogonaliser, IsThePolynomialOnWideAndTallMatrices) {
  ThreadPool pool(2);
  Orthogonaliser orthogonaliser(pool);
  for (const auto& [rows, columns] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {3, 7}, {7, 3}, {16, 16}, {33, 70}, {70, 33}, {8, 72}}) {
    std::vector<float> matrix = testing::random_values(static_cast<std::int64_t>(rows * columns), 5);
    const std::vector<float> expected = testing::orthogonalised(std::span<const float>(matrix), rows, columns);
    orthogonaliser.run(matrix, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns));
    EXPECT_LE(testing::relative_error(matrix, expected), 2e-5) << rows << " x " << columns;
  }
}

TEST(Orthogonaliser, RowsBecomeNearlyOrthonormal) {
  ThreadPool pool(1);
  Orthogonaliser orthogonaliser(pool);
  constexpr std::size_t kRows = 12;
  constexpr std::size_t kColumns = 40;
  std::vector<float> matrix = testing::random_values(kRows * kColumns, 9);
  for (std::size_t i = 0; i < kColumns; ++i) matrix[i] *= 10.0f;  // one row far stronger than the others
  orthogonaliser.run(matrix, kRows, kColumns);
  for (std::size_t i = 0; i < kRows; ++i) {
    double norm = 0.0;
    for (std::size_t c = 0; c < kColumns; ++c) norm += double{matrix[i * kColumns + c]} * matrix[i * kColumns + c];
    EXPECT_GT(norm, 0.4);
    EXPECT_LT(norm, 1.6);
  }
}

TEST(Orthogonaliser, ThreadsChangeNoBitAndZerosStay) {
  std::vector<float> one = testing::random_values(100 * 60, 3);
  std::vector<float> seven = one;
  ThreadPool pool1(1);
  ThreadPool pool7(7);
  Orthogonaliser(pool1).run(one, 100, 60);
  Orthogonaliser(pool7).run(seven, 100, 60);
  EXPECT_EQ(one, seven);
  std::vector<float> zeros(15);
  Orthogonaliser(pool1).run(zeros, 3, 5);
  for (const float value : zeros) EXPECT_EQ(value, 0.0f);
}

}  // namespace
}  // namespace gcvit::native
