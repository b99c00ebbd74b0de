// SPDX-License-Identifier: Apache-2.0
#include "native/orthogonaliser.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/optimiser.h"

namespace gcvit::native {
namespace {

constexpr float kA = 3.4445f;
constexpr float kB = -4.7750f;
constexpr float kC = 2.0315f;
constexpr int kSteps = 5;
constexpr double kEpsilon = 1e-7;

/// out [rows][columns] = left [rows][depth] times the packed matrix [depth][columns].
void multiply(ThreadPool& pool, const float* left, std::int64_t rows, const kernels::PackedWeights& right, float* out) {
  constexpr std::int64_t kTile = 48;
  std::vector<const float*> a(static_cast<std::size_t>(rows));
  std::vector<float*> c(static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r) {
    a[static_cast<std::size_t>(r)] = left + r * right.k;
    c[static_cast<std::size_t>(r)] = out + r * right.columns;
  }
  pool.parallel_for((rows + kTile - 1) / kTile, [&](std::int64_t tile, int) {
    const std::int64_t first = tile * kTile;
    kernels::gemm(right,
                  {.a = a.data() + first,
                   .c = c.data() + first,
                   .count = static_cast<std::int32_t>(std::min(kTile, rows - first))},
                  {}, 0, kernels::panel_count(right.columns));
  });
}

void reserve(kernels::AlignedBuffer& buffer, std::int64_t floats) {
  if (buffer.size() < floats) buffer = kernels::AlignedBuffer(floats);
}

}  // namespace

void Orthogonaliser::run(std::span<float> matrix, std::int64_t rows, std::int64_t columns) {
  // X has no more rows than columns: A is the smaller of the two squares.
  const bool transposed = rows > columns;
  const std::int64_t height = transposed ? columns : rows;
  const std::int64_t width = transposed ? rows : columns;
  reserve(wide_, height * width);
  reserve(next_, height * width);
  reserve(square_, height * height);
  reserve(polynomial_, height * height);
  const auto norm =
      static_cast<float>(1.0 / (std::sqrt(kernels::squared_norm(matrix.data(), rows * columns)) + kEpsilon));
  float* x = wide_.data();
  float* next = next_.data();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      x[transposed ? c * width + r : r * width + c] = matrix[static_cast<std::size_t>(r * columns + c)] * norm;
    }
  }
  for (int step = 0; step < kSteps; ++step) {
    // Both are symmetric or multiplied by themselves flipped, which is what packing rows as columns does.
    multiply(pool_, x, height,
             kernels::pack_weights(x, nullptr, static_cast<std::int32_t>(height), 1, static_cast<std::int32_t>(width)),
             square_.data());
    multiply(pool_, square_.data(), height,
             kernels::pack_weights(square_.data(), nullptr, static_cast<std::int32_t>(height), 1,
                                   static_cast<std::int32_t>(height)),
             polynomial_.data());
    for (std::int64_t i = 0; i < height * height; ++i) {
      polynomial_.data()[i] = kB * square_.data()[i] + kC * polynomial_.data()[i];
    }
    for (std::int64_t i = 0; i < height; ++i) polynomial_.data()[i * height + i] += kA;
    kernels::allocate(nullptr, static_cast<std::int32_t>(width), 1, static_cast<std::int32_t>(height), packed_);
    const float* const from = x;
    pool_.parallel_for(kernels::panel_count(packed_.columns), [&](std::int64_t panel, int) {
      kernels::pack_panel_transposed({&from, 1}, packed_, static_cast<std::int32_t>(panel));
    });
    multiply(pool_, polynomial_.data(), height, packed_, next);
    std::swap(x, next);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      matrix[static_cast<std::size_t>(r * columns + c)] = x[transposed ? c * width + r : r * width + c];
    }
  }
}

}  // namespace gcvit::native
