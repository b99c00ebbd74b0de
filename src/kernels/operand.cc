// SPDX-License-Identifier: Apache-2.0
#include "kernels/operand.h"

#include <algorithm>
#include <type_traits>

#include "base/half.h"
#include "kernels/i8_quads.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operand.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/bf16-inl.h"
#include "kernels/quantise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;

void round_floats(const float* from, std::int32_t k, float* to) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  std::int32_t i = 0;
  for (; i + lanes <= k; i += lanes) hn::StoreU(rounded(d, hn::LoadU(d, from + i)), d, to + i);
  for (; i < k; ++i) to[i] = f32_from_bf16(bf16_from_f32(from[i]));
}

/// CPUs whose weights are pairs have bf16_pairs.h's instructions, those with matrix tiles too.
void round_pairs(const float* from, std::int32_t k, float* to) {
  std::int32_t i = has_bf16_pairs() ? round_whole_pairs(from, k, 1.0f, to) : 0;
  for (; i < k; i += 2) to[i / 2] = pair_of(from[i], i + 1 < k ? from[i + 1] : 0.0f);
}

/// T: an int32, a pair of int16, or a quad of bytes that are 128 above the number.
template <class T>
void quantise_rows(const PackedWeights& weights, const float* const* a, std::int64_t count, float* operand) {
  const std::int64_t stride = operand_stride(weights);
  const std::int64_t room = weights.i8_steps() * static_cast<std::int64_t>(sizeof(float) / sizeof(T));
  const bool at_once = std::is_same_v<T, std::uint8_t> && HWY_TARGET == HWY_AVX3 &&
                       rounds_to_quads(static_cast<std::int32_t>(hn::Lanes(FloatTag())), weights.k);
  for (std::int64_t row = 0; row < count; ++row, operand += stride) {
    if (at_once) {
      auto* const to = reinterpret_cast<unsigned char*>(operand);
      operand[stride - 1] = round_row_to_quads(a + row, count, weights.taps, weights.k, to);
      continue;
    }
    operand[stride - 1] = quantise_row(a + row, count, weights.taps, weights.k, room, reinterpret_cast<T*>(operand));
  }
}

void round_operand_impl(const PackedWeights& weights, const float* const* a, std::int64_t count, float* operand) {
  switch (weights.form) {
    case OperandForm::kF32:
    case OperandForm::kHalves: return;
    case OperandForm::kI8: return quantise_rows<std::int32_t>(weights, a, count, operand);
    case OperandForm::kI8Pairs: return quantise_rows<std::int16_t>(weights, a, count, operand);
    case OperandForm::kI8Quads: return quantise_rows<std::uint8_t>(weights, a, count, operand);
    case OperandForm::kRounded:
    case OperandForm::kPairs:
    case OperandForm::kTiles: break;
  }
  const std::int64_t depth = weights.depth();
  for (std::int64_t row = 0; row < count; ++row) {
    for (std::int32_t tap = 0; tap < weights.taps; ++tap, operand += depth) {
      const float* const from = a[tap * count + row];
      if (weights.form == OperandForm::kRounded) {
        round_floats(from, weights.k, operand);
        continue;
      }
      round_pairs(from, weights.k, operand);
      std::fill(operand + (weights.k + 1) / 2, operand + depth, 0.0f);
    }
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(round_operand_impl);

std::int64_t operand_stride(const PackedWeights& weights) {
  if (weights.is_i8()) return weights.i8_steps() + 1;
  if (!rounds(weights)) return 0;
  return std::int64_t{weights.taps} * weights.depth();
}

std::int64_t operand_size(const PackedWeights& weights, std::int64_t count) {
  const std::int64_t spare = weights.form == OperandForm::kTiles ? kTileBlock : 0;
  return (count + spare) * operand_stride(weights);
}

void round_operand(const PackedWeights& weights, const float* const* a, std::int64_t count, float* operand) {
  HWY_DYNAMIC_DISPATCH(round_operand_impl)(weights, a, count, operand);
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
