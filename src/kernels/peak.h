// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/thread_pool.h"

namespace gcvit::kernels {

/// The machine's f32 peak as measured now: 10^9 floating point operations a second (a fused multiply-add is two) that
/// all threads of the pool reach together on sums kept in registers, with the target in use. The best of several short
/// rounds, about `seconds` in all.
double measure_fma_gflops(ThreadPool& pool, double seconds = 0.3);

}  // namespace gcvit::kernels
