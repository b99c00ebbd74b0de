// SPDX-License-Identifier: Apache-2.0
// Muon's orthogonalisation against the same polynomial in double precision, and what it is for: singular values near 1.
#include "train/muon.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/native/test_model.h"

namespace gcvit::train {
namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.size(), std::vector<double>(b[0].size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < b.size(); ++k) {
      for (std::size_t j = 0; j < b[0].size(); ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  return c;
}

Matrix transposed(const Matrix& a) {
  Matrix t(a[0].size(), std::vector<double>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[0].size(); ++j) t[j][i] = a[i][j];
  }
  return t;
}

std::vector<float> twin(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  Matrix x(rows, std::vector<double>(columns));
  double squares = 0.0;
  for (const float value : values) squares += double{value} * value;
  for (std::size_t i = 0; i < values.size(); ++i) x[i / columns][i % columns] = values[i] / (std::sqrt(squares) + 1e-7);
  for (int step = 0; step < 5; ++step) {
    const Matrix a = product(x, transposed(x));
    const Matrix a2 = product(a, a);
    Matrix polynomial = a;
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < rows; ++j) polynomial[i][j] = -4.7750 * a[i][j] + 2.0315 * a2[i][j];
      polynomial[i][i] += 3.4445;
    }
    x = product(polynomial, x);
  }
  std::vector<float> result;
  for (const auto& row : x) result.insert(result.end(), row.begin(), row.end());
  return result;
}

TEST(Orthogonaliser, IsThePolynomialOnWideAndTallMatrices) {
  ThreadPool pool(2);
  Orthogonaliser orthogonaliser(pool);
  for (const auto& [rows, columns] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {3, 7}, {7, 3}, {16, 16}, {33, 70}, {70, 33}, {8, 72}}) {
    std::vector<float> matrix = testing::random_values(static_cast<std::int64_t>(rows * columns), 5);
    const std::vector<float> expected = twin(matrix, rows, columns);
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
}  // namespace gcvit::train
