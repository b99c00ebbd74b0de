// SPDX-License-Identifier: Apache-2.0
#include "kernels/weight_gradient.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/weight_gradient.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

/// Rows n that are summed in registers before C is touched, at most: a line of each and a packed panel fit L1.
inline constexpr std::int64_t kStretch = 128;
/// Vectors of columns that go together: a stretch of B packed for them fits L2 and serves all rows of C.
inline constexpr std::int32_t kGroupPanels = 16;

std::int64_t weight_gradient_scratch_size_impl() {
  return kStretch * kGroupPanels * kPanelVectors * static_cast<std::int64_t>(hn::Lanes(FloatTag()));
}

/// Columns [column, column + columns) of `count` rows of B -> panels [count][width], zeros beyond the last column.
void pack_columns(const float* const* b, std::int64_t count, std::int32_t column, std::int32_t columns,
                  std::int32_t width, float* packed) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t panels = (columns + width - 1) / width;
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int32_t panel = 0; panel < panels; ++panel) {
      const float* from = b[n] + column + panel * width;
      float* to = packed + (panel * count + n) * width;
      const std::int32_t filled = std::min(width, columns - panel * width);
      if (filled == width) {
        for (std::int32_t v = 0; v < kPanelVectors; ++v) hn::Store(hn::LoadU(d, from + v * lanes), d, to + v * lanes);
      } else {
        std::fill(std::copy_n(from, filled, to), to + width, 0.0f);
      }
    }
  }
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
  constexpr std::int64_t kTailStride = kPanelVectors * static_cast<std::int64_t>(hn::MaxLanes(FloatTag()));
  const std::int64_t stretches = (product.count + kStretch - 1) / kStretch;
  for (std::int64_t stretch = 0; stretch < stretches; ++stretch) {
    const std::int64_t begin = product.count * stretch / stretches;
    const std::int64_t count = product.count * (stretch + 1) / stretches - begin;
    for (std::int32_t group = 0; group < product.columns; group += kGroupPanels * width) {
      const std::int32_t group_columns = std::min(kGroupPanels * width, product.columns - group);
      const std::int32_t first_column = product.first_column + group;
      pack_columns(product.b + begin, count, first_column, group_columns, width, product.scratch);
      for_each_row_block(product.rows, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
        const std::int64_t row = product.first_row + first;
        // The next rows' part of A lies in lines far apart, which no hardware prefetcher sees coming: they are asked for
        // bit by bit while these rows are computed.
        const std::int64_t next =
            row + rows + kTileRows <= product.first_row + product.rows ? row + rows + kTileRows - 1 : row;
        const std::int64_t share = (count * width + group_columns - 1) / group_columns;
        std::int64_t asked = 0;
        for (std::int32_t column = 0; column < group_columns; column += width) {
          const std::int32_t columns = std::min(width, group_columns - column);
          const std::int32_t vectors = columns <= lanes ? 1 : kPanelVectors;
          const OuterBlock block = vectors == 1 ? outer_block_for<1>(rows) : outer_block_for<kPanelVectors>(rows);
          const float* packed = product.scratch + column * count;
          float* c = product.c + row * product.c_stride + first_column + column;
          for (const std::int64_t end = std::min(count, asked + share); asked < end; ++asked) {
            hwy::Prefetch(product.a[begin + asked] + next);
          }
          if (columns == vectors * lanes) {
            block(product.a + begin, row, packed, width, count, c, product.c_stride);
            continue;
          }
          for (std::int32_t r = 0; r < rows; ++r) {
            std::fill(std::copy_n(c + r * product.c_stride, columns, tail[r]), tail[r] + width, 0.0f);
          }
          block(product.a + begin, row, packed, width, count, tail[0], kTailStride);
          for (std::int32_t r = 0; r < rows; ++r) std::copy_n(tail[r], columns, c + r * product.c_stride);
        }
      });
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
