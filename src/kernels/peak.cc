// SPDX-License-Identifier: Apache-2.0
#include "kernels/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/peak.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Twelve independent chains of fused multiply-adds; returns their sum, so that none is left out.
float multiply_add_chains(std::int64_t steps, float factor) {
  const hn::ScalableTag<float> d;
  constexpr int kChains = 12;
  hn::Vec<decltype(d)> sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = hn::Set(d, static_cast<float>(i));
  const auto a = hn::Set(d, factor);
  const auto b = hn::Set(d, 1.0f - factor);
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], a, b);
  }
  auto total = hn::Zero(d);
  for (int i = 0; i < kChains; ++i) total = hn::Add(total, sums[i]);
  return hn::GetLane(hn::SumOfLanes(d, total));
}

/// Floating point operations of one step.
std::int64_t operations_per_step() {
  return std::int64_t{2} * 12 * static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>()));
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(multiply_add_chains);
HWY_EXPORT(operations_per_step);

double measure_fma_gflops(ThreadPool& pool, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto operations = static_cast<double>(HWY_DYNAMIC_DISPATCH(operations_per_step)());
  const std::int64_t steps = 400'000;
  std::vector<float> sums(static_cast<std::size_t>(pool.size()));
  double best = 0.0;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    pool.parallel_for(pool.size(), [&](std::int64_t index, int) {
      sums[static_cast<std::size_t>(index)] = HWY_DYNAMIC_DISPATCH(multiply_add_chains)(steps, 0.999f);
    });
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, operations * static_cast<double>(steps) * pool.size() / elapsed * 1e-9);
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  return best;
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
