// SPDX-License-Identifier: Apache-2.0
#include "kernels/weight_gradient.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/weight_gradient.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

/// Rows n that are summed in registers before C is touched: a packed panel of them fits L1.
inline constexpr std::int64_t kStretch = 256;
/// Rows of C that go together: with a stretch of A they fit L2.
inline constexpr std::int32_t kRowGroup = 192;

std::int64_t weight_gradient_scratch_size_impl() {
  return kStretch * kPanelVectors * static_cast<std::int64_t>(hn::Lanes(FloatTag()));
}

/// C[0..kRows)[0..kVectors vectors) += the sum over n of a[n][a_offset + row] * b[n][column].
template <int kRows, int kVectors>
HWY_NOINLINE void outer_block(const float* const* a, std::int64_t a_offset, const float* b, std::int64_t b_stride,
                              std::int64_t count, float* c, std::int64_t c_stride) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  FloatVec sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  for (std::int64_t n = 0; n < count; ++n, b += b_stride) {
    const float* row = a[n] + a_offset;
    FloatVec columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) columns[v] = hn::LoadU(d, b + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const FloatVec value = hn::Set(d, row[r]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(value, columns[v], sums[r][v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* at = c + r * c_stride + static_cast<std::int64_t>(static_cast<std::size_t>(v) * lanes);
      hn::StoreU(hn::Add(hn::LoadU(d, at), sums[r][v]), d, at);
    }
  }
}

using OuterBlock = void (*)(const float* const*, std::int64_t, const float*, std::int64_t, std::int64_t, float*,
                            std::int64_t);

template <int kVectors>
HWY_INLINE OuterBlock outer_block_for(std::int32_t rows) {
  static constexpr OuterBlock kBlocks[] = {
      outer_block<1, kVectors>,  outer_block<2, kVectors>,  outer_block<3, kVectors>,
      outer_block<4, kVectors>,  outer_block<5, kVectors>,  outer_block<6, kVectors>,
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
      outer_block<7, kVectors>,  outer_block<8, kVectors>,  outer_block<9, kVectors>,
      outer_block<10, kVectors>, outer_block<11, kVectors>, outer_block<12, kVectors>,
#endif
  };
  return kBlocks[rows - 1];
}

void weight_gradient_impl(const WeightGradient& product) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t width = kPanelVectors * lanes;
  HWY_ALIGN float tail[kTileRows][kPanelVectors * hn::MaxLanes(FloatTag())];
  for (std::int32_t group = 0; group < product.rows; group += kRowGroup) {
    const std::int32_t group_rows = std::min(kRowGroup, product.rows - group);
    for (std::int64_t begin = 0; begin < product.count; begin += kStretch) {
      const std::int64_t count = std::min(kStretch, product.count - begin);
      for (std::int32_t column = 0; column < product.columns; column += width) {
        const std::int32_t columns = std::min(width, product.columns - column);
        const std::int32_t vectors = columns <= lanes ? 1 : kPanelVectors;
        for (std::int64_t n = 0; n < count; ++n) {
          float* packed = product.scratch + n * width;
          const float* from = product.b[begin + n] + product.first_column + column;
          if (columns == width) {
            for (std::int32_t v = 0; v < kPanelVectors; ++v) {
              hn::Store(hn::LoadU(d, from + v * lanes), d, packed + v * lanes);
            }
          } else {
            std::fill(std::copy_n(from, columns, packed), packed + width, 0.0f);
          }
        }
        for_each_row_block(group_rows, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
          const OuterBlock block = vectors == 1 ? outer_block_for<1>(rows) : outer_block_for<kPanelVectors>(rows);
          const std::int64_t row = product.first_row + group + first;
          float* c = product.c + row * product.c_stride + product.first_column + column;
          if (columns == vectors * lanes) {
            block(product.a + begin, row, product.scratch, width, count, c, product.c_stride);
            return;
          }
          for (std::int32_t r = 0; r < rows; ++r) {
            std::fill(std::copy_n(c + r * product.c_stride, columns, tail[r]), tail[r] + width, 0.0f);
          }
          constexpr std::int64_t kTailStride = kPanelVectors * static_cast<std::int64_t>(hn::MaxLanes(FloatTag()));
          block(product.a + begin, row, product.scratch, width, count, tail[0], kTailStride);
          for (std::int32_t r = 0; r < rows; ++r) std::copy_n(tail[r], columns, c + r * product.c_stride);
        });
      }
    }
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(weight_gradient_scratch_size_impl);
HWY_EXPORT(weight_gradient_impl);

std::int64_t weight_gradient_scratch_size() { return HWY_DYNAMIC_DISPATCH(weight_gradient_scratch_size_impl)(); }

void weight_gradient(const WeightGradient& product) { HWY_DYNAMIC_DISPATCH(weight_gradient_impl)(product); }

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
