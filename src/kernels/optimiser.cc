// SPDX-License-Identifier: Apache-2.0
#include "kernels/optimiser.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optimiser.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/lane_sum-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

/// `value` in every lane, rounded once.
FloatVec constant(double value) { return hn::Set(FloatTag(), static_cast<float>(value)); }

/// The averaged weights, or nothing where there are none.
struct Average {
  Average(double decay, float* ema) : keep(constant(decay)), take(constant(1.0 - decay)), ema(ema) {}
  template <class Part>
  HWY_INLINE void add(std::int64_t i, const Part& part, FloatVec weight) const {
    const FloatTag d;
    if (ema != nullptr) part.store(d, hn::MulAdd(keep, part.load(d, ema + i), hn::Mul(take, weight)), ema + i);
  }
  FloatVec keep, take;
  float* ema;
};

void adam_step_impl(const AdamStep& step, std::int64_t count, const float* gradient, float* weight, float* m, float* v,
                    float* ema) {
  const FloatTag d;
  const FloatVec gradient_scale = constant(step.gradient_scale);
  const FloatVec weight_decay = constant(step.weight_decay);
  const FloatVec kept = constant(1.0 - step.decay);
  const FloatVec beta1 = constant(step.beta1);
  const FloatVec beta2 = constant(step.beta2);
  const FloatVec rest1 = constant(1.0 - step.beta1);
  const FloatVec rest2 = constant(1.0 - step.beta2);
  const FloatVec epsilon = constant(step.epsilon);
  const FloatVec step_size = constant(step.step_size);
  const Average average(step.ema_decay, ema);
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    const FloatVec before = part.load(d, weight + i);
    const FloatVec g = hn::MulAdd(part.load(d, gradient + i), gradient_scale, hn::Mul(weight_decay, before));
    const FloatVec first = hn::MulAdd(beta1, part.load(d, m + i), hn::Mul(rest1, g));
    const FloatVec second = hn::MulAdd(beta2, part.load(d, v + i), hn::Mul(rest2, hn::Mul(g, g)));
    const FloatVec direction = hn::Div(first, hn::Add(hn::Sqrt(second), epsilon));
    const FloatVec after = hn::NegMulAdd(step_size, direction, hn::Mul(before, kept));
    part.store(d, first, m + i);
    part.store(d, second, v + i);
    part.store(d, after, weight + i);
    average.add(i, part, after);
  });
}

void sgd_step_impl(const SgdStep& step, std::int64_t count, const float* gradient, float* weight, float* b,
                   float* ema) {
  const FloatTag d;
  const FloatVec gradient_scale = constant(step.gradient_scale);
  const FloatVec weight_decay = constant(step.weight_decay);
  const FloatVec momentum = constant(step.momentum);
  const FloatVec learning_rate = constant(step.learning_rate);
  const Average average(step.ema_decay, ema);
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    const FloatVec before = part.load(d, weight + i);
    const FloatVec g = hn::MulAdd(part.load(d, gradient + i), gradient_scale, hn::Mul(weight_decay, before));
    FloatVec direction = g;
    if (b != nullptr) {
      const FloatVec velocity = hn::MulAdd(momentum, part.load(d, b + i), g);
      part.store(d, velocity, b + i);
      direction = step.nesterov ? hn::MulAdd(momentum, velocity, g) : velocity;
    }
    const FloatVec after = hn::NegMulAdd(learning_rate, direction, before);
    part.store(d, after, weight + i);
    average.add(i, part, after);
  });
}

double squared_norm_impl(const float* x, std::int64_t count) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(wide));
  constexpr int kChains = 4;
  hn::Vec<decltype(wide)> sums[kChains];
  for (auto& sum : sums) sum = hn::Zero(wide);
  std::int64_t i = 0;
  for (; i + kChains * lanes <= count; i += kChains * lanes) {
    for (int chain = 0; chain < kChains; ++chain) {
      const auto value = hn::PromoteTo(wide, hn::LoadU(narrow, x + i + chain * lanes));
      sums[chain] = hn::MulAdd(value, value, sums[chain]);
    }
  }
  for_each_vector(narrow, count - i, [&](std::int64_t rest, auto part) HWY_ATTR {
    const auto value = hn::PromoteTo(wide, part.load(narrow, x + i + rest));
    sums[0] = hn::MulAdd(value, value, sums[0]);
  });
  const auto sum = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return lane_sum(wide, sum);
}

bool all_finite_impl(const float* x, std::int64_t count) {
  // Without their signs numbers are in the order of their bits, and infinity is the least that isn't finite.
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> bits;
  const auto magnitude = hn::Set(bits, 0x7fffffff);
  auto largest = hn::Zero(bits);
  for_each_vector(d, count, [&](std::int64_t i, auto part) HWY_ATTR {
    largest = hn::Max(largest, hn::And(hn::BitCast(bits, part.load(d, x + i)), magnitude));
  });
  return hn::GetLane(hn::MaxOfLanes(bits, largest)) < 0x7f800000;
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(adam_step_impl);
HWY_EXPORT(sgd_step_impl);
HWY_EXPORT(squared_norm_impl);
HWY_EXPORT(all_finite_impl);

void adam_step(const AdamStep& step, std::int64_t count, const float* gradient, float* weight, float* m, float* v,
               float* ema) {
  HWY_DYNAMIC_DISPATCH(adam_step_impl)(step, count, gradient, weight, m, v, ema);
}

void sgd_step(const SgdStep& step, std::int64_t count, const float* gradient, float* weight, float* b, float* ema) {
  HWY_DYNAMIC_DISPATCH(sgd_step_impl)(step, count, gradient, weight, b, ema);
}

double squared_norm(const float* x, std::int64_t count) { return HWY_DYNAMIC_DISPATCH(squared_norm_impl)(x, count); }

bool all_finite(const float* x, std::int64_t count) { return HWY_DYNAMIC_DISPATCH(all_finite_impl)(x, count); }

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
