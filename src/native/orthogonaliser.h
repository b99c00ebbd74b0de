// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/aligned_buffer.h"
#include "kernels/gemm.h"
#include "base/thread_pool.h"

namespace gcvit::native {

/// What Muon makes of a matrix' momentum (K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024;
/// torch.optim.Muon): the matrix with all singular values moved close to 1, so that no direction of a layer learns
/// faster than another. Five steps of X <- a X + (b A + c A^2) X with A = X X^T, from X of Frobenius norm 1.
/// The same bits on any number of threads.
class Orthogonaliser {
 public:
  explicit Orthogonaliser(ThreadPool& pool) : pool_(pool) {}

  /// `matrix` [rows][columns], in place. Zeros stay zeros.
  void run(std::span<float> matrix, std::int64_t rows, std::int64_t columns);

 private:
  ThreadPool& pool_;
  kernels::AlignedBuffer wide_, square_, polynomial_, next_;  ///< kept from matrix to matrix
  kernels::PackedWeights packed_;                             ///< likewise
};

}  // namespace gcvit::native
