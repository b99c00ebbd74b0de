// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "kernels/peak.h"
#include "base/random.h"
#include "base/thread_pool.h"

namespace gcvit::bench {

/// Standard normal numbers: never zeros, which some processors compute faster.
inline std::vector<float> random_values(std::int64_t count, std::uint64_t stream) {
  Random random(0, stream);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = random.normal();
  return values;
}

/// Runs a benchmark's loop and reports its GFLOP/s and what part that is of the roof, which is measured right before
/// on the same threads.
class Meter {
 public:
  explicit Meter(ThreadPool& pool) : peak_(kernels::measure_fma_gflops(pool, 0.02)) {}

  /// `operations`: floating point operations of one call of `body`.
  template <typename Body>
  void run(benchmark::State& state, double operations, const Body& body) const {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    for ([[maybe_unused]] auto iteration : state) {
      body();
      benchmark::ClobberMemory();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const double gflops = operations * static_cast<double>(state.iterations()) / seconds * 1e-9;
    state.counters["GFLOP/s"] = gflops;
    state.counters["roof"] = peak_;
    state.counters["%roof"] = 100.0 * gflops / peak_;
  }

 private:
  double peak_;
};

}  // namespace gcvit::bench
