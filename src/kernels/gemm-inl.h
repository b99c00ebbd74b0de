// SPDX-License-Identifier: Apache-2.0
// The microkernel of the dense product, for inclusion per target: a few rows times one panel, sums in registers.
#include "kernels/highway.h"

#if defined(GCVIT_KERNELS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GCVIT_KERNELS_GEMM_INL_H_
#undef GCVIT_KERNELS_GEMM_INL_H_
#else
#define GCVIT_KERNELS_GEMM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "kernels/gemm.h"
#include "kernels/panel.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

/// Vectors a panel is wide.
inline constexpr int kPanelVectors = 2;
/// Rows whose sums fit the registers beside a panel row and a broadcast: 32 registers on AVX-512 and Arm, else 16.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
inline constexpr int kTileRows = 12;
#else
inline constexpr int kTileRows = 6;
#endif

/// Vector `v` of a panel's row of bfloat16: the row's two vectors lie interleaved, its numbers i in the upper halves of
/// the floats from `row` on, numbers lanes + i half a float further. So each is a load and a mask.
template <class D>
HWY_INLINE hn::Vec<D> load_half_vector(D d, const float* row, int v) {
#if HWY_TARGET == HWY_SCALAR
  std::uint16_t half;
  std::memcpy(&half, reinterpret_cast<const char*>(row) + 2 * (v + 1), sizeof(half));
  return hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), static_cast<std::uint32_t>(half) << 16));
#else
  const hn::Repartition<std::uint16_t, D> halves;
  const auto mask = hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), 0xffff0000u));
  return hn::And(mask, hn::BitCast(d, hn::LoadU(halves, reinterpret_cast<const std::uint16_t*>(row) + v)));
#endif
}

/// A GemmBlock of kRows rows and the first kVectors of the panel's vectors, which are floats or bfloat16.
template <int kRows, int kVectors, bool kHalves = false>
HWY_NOINLINE void gemm_block(const float* const* a, std::int64_t a_tap_stride, std::int32_t taps, std::int32_t k,
                             const Panel& panel, float* const* c, const float* const* residual) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  FloatVec sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const std::size_t at = static_cast<std::size_t>(v) * lanes;
      sums[r][v] = panel.accumulate        ? hn::LoadU(d, c[r] + panel.c_offset + at)
                   : panel.bias != nullptr ? hn::LoadU(d, panel.bias + at)
                                           : hn::Zero(d);
    }
  }
  const float* b = panel.b;
  const std::int64_t b_stride = panel.b_stride;
  for (std::int32_t tap = 0; tap < taps; ++tap, a += a_tap_stride) {
    const float* rows[kRows];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) rows[r] = a[r];
    for (std::int32_t i = 0; i < k; ++i, b += b_stride) {
      FloatVec columns[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        columns[v] = kHalves ? load_half_vector(d, b, v) : hn::LoadU(d, b + static_cast<std::size_t>(v) * lanes);
      }
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const FloatVec value = hn::Set(d, rows[r][i]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(value, columns[v], sums[r][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const std::size_t at = static_cast<std::size_t>(v) * lanes;
      FloatVec sum = sums[r][v];
      if (residual != nullptr) {
        const FloatVec input = hn::LoadU(d, residual[r] + panel.c_offset + at);
        sum = panel.gamma != nullptr ? hn::MulAdd(hn::LoadU(d, panel.gamma + at), sum, input) : hn::Add(sum, input);
      }
      hn::StoreU(sum, d, c[r] + panel.c_offset + at);
    }
  }
}

/// The block function for 1..kTileRows rows and `kVectors` vectors.
template <int kVectors, bool kHalves = false>
HWY_INLINE GemmBlock gemm_block_for(std::int32_t rows) {
  static constexpr GemmBlock kBlocks[] = {
      gemm_block<1, kVectors, kHalves>,  gemm_block<2, kVectors, kHalves>,  gemm_block<3, kVectors, kHalves>,
      gemm_block<4, kVectors, kHalves>,  gemm_block<5, kVectors, kHalves>,  gemm_block<6, kVectors, kHalves>,
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
      gemm_block<7, kVectors, kHalves>,  gemm_block<8, kVectors, kHalves>,  gemm_block<9, kVectors, kHalves>,
      gemm_block<10, kVectors, kHalves>, gemm_block<11, kVectors, kHalves>, gemm_block<12, kVectors, kHalves>,
#endif
  };
  return kBlocks[rows - 1];
}

/// Cuts `count` rows into blocks of at most kTileRows whose sizes differ by one at most, so that none is thin, and
/// calls body(first row, rows) for each.
template <typename Body>
HWY_INLINE void for_each_row_block(std::int32_t count, const Body& body) {
  const std::int32_t blocks = (count + kTileRows - 1) / kTileRows;
  for (std::int32_t block = 0, first = 0; block < blocks; ++block) {
    const std::int32_t rows = count / blocks + (block < count % blocks ? 1 : 0);
    body(first, rows);
    first += rows;
  }
}

/// A TransposedBlock of kRows rows and the first kVectors of the panel's vectors.
template <int kRows, int kVectors>
HWY_NOINLINE void transposed_block(const float* a, std::int64_t a_stride, std::int64_t k, const Panel& panel,
                                   float* const* c) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  FloatVec sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  const float* b = panel.b;
  const std::int64_t b_stride = panel.b_stride;
  for (std::int64_t i = 0; i < k; ++i, a += a_stride, b += b_stride) {
    FloatVec columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) columns[v] = hn::LoadU(d, b + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const FloatVec value = hn::Set(d, a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(value, columns[v], sums[r][v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* const at = c[r] + panel.c_offset + static_cast<std::size_t>(v) * lanes;
      hn::StoreU(panel.accumulate ? hn::Add(hn::LoadU(d, at), sums[r][v]) : sums[r][v], d, at);
    }
  }
}

/// The block function for 1..kTileRows rows and a panel of which `columns` count.
inline TransposedBlock transposed_block_for(std::int32_t rows, std::int32_t columns) {
  static constexpr TransposedBlock kBlocks[][kTileRows] = {
      {transposed_block<1, 1>, transposed_block<2, 1>, transposed_block<3, 1>, transposed_block<4, 1>,
       transposed_block<5, 1>, transposed_block<6, 1>,
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
       transposed_block<7, 1>, transposed_block<8, 1>, transposed_block<9, 1>, transposed_block<10, 1>,
       transposed_block<11, 1>, transposed_block<12, 1>
#endif
      },
      {transposed_block<1, 2>, transposed_block<2, 2>, transposed_block<3, 2>, transposed_block<4, 2>,
       transposed_block<5, 2>, transposed_block<6, 2>,
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
       transposed_block<7, 2>, transposed_block<8, 2>, transposed_block<9, 2>, transposed_block<10, 2>,
       transposed_block<11, 2>, transposed_block<12, 2>
#endif
      }};
  static_assert(kPanelVectors == 2);
  const bool narrow = columns <= static_cast<std::int32_t>(hn::Lanes(FloatTag()));
  return kBlocks[narrow ? 0 : 1][rows - 1];
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
