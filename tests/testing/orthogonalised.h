// SPDX-License-Identifier: Apache-2.0
// Muon's polynomial of a matrix in double precision.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace gcvit::testing {

using Matrix = std::vector<std::vector<double>>;

inline Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.size(), std::vector<double>(b[0].size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < b.size(); ++k) {
      for (std::size_t j = 0; j < b[0].size(); ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  return c;
}

inline Matrix transposed(const Matrix& a) {
  Matrix t(a[0].size(), std::vector<double>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[0].size(); ++j) t[j][i] = a[i][j];
  }
  return t;
}

/// `values` [rows][columns] with all singular values moved close to 1.
template <typename Float>
std::vector<Float> orthogonalised(std::span<const Float> values, std::size_t rows, std::size_t columns) {
  Matrix x(rows, std::vector<double>(columns));
  double squares = 0.0;
  for (const Float value : values) squares += static_cast<double>(value) * value;
  for (std::size_t i = 0; i < values.size(); ++i) x[i / columns][i % columns] = values[i] / (std::sqrt(squares) + 1e-7);
  const bool tall = rows > columns;
  if (tall) x = transposed(x);
  for (int step = 0; step < 5; ++step) {
    const Matrix a = product(x, transposed(x));
    const Matrix a2 = product(a, a);
    Matrix polynomial = a;
    for (std::size_t i = 0; i < a.size(); ++i) {
      for (std::size_t j = 0; j < a.size(); ++j) polynomial[i][j] = -4.7750 * a[i][j] + 2.0315 * a2[i][j];
      polynomial[i][i] += 3.4445;
    }
    x = product(polynomial, x);
  }
  if (tall) x = transposed(x);
  std::vector<Float> result;
  for (const auto& row : x) {
    for (const double value : row) result.push_back(static_cast<Float>(value));
  }
  return result;
}

}  // namespace gcvit::testing
