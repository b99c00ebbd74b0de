// SPDX-License-Identifier: Apache-2.0
#include "kernels/bf16_pairs.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <utility>

#define GCVIT_BF16_TARGET target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#define GCVIT_BF16_PAIRS __attribute__((GCVIT_BF16_TARGET, noinline))

namespace gcvit::kernels {
namespace {

constexpr int kRowsMost = 12;
constexpr int kLanes = 16;

template <int kRows, int kVectors>
GCVIT_BF16_PAIRS void gemm_pairs(const float* const* a, std::int64_t a_tap_stride, std::int32_t taps, std::int32_t k,
                                 const Panel& panel, float* const* c, const float* const* residual) {
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = panel.accumulate        ? _mm512_loadu_ps(c[r] + panel.c_offset + v * kLanes)
                   : panel.bias != nullptr ? _mm512_loadu_ps(panel.bias + v * kLanes)
                                           : _mm512_setzero_ps();
    }
  }
  const float* b = panel.b;
  for (std::int32_t tap = 0; tap < taps; ++tap, a += a_tap_stride) {
    const float* rows[kRows];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) rows[r] = a[r];
    for (std::int32_t i = 0; i < k; ++i, b += panel.b_stride) {
      __m512bh columns[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) columns[v] = (__m512bh)_mm512_loadu_ps(b + v * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const auto pair = (__m512bh)_mm512_set1_ps(rows[r][i]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, columns[v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      __m512 sum = sums[r][v];
      if (residual != nullptr) {
        const __m512 input = _mm512_loadu_ps(residual[r] + panel.c_offset + v * kLanes);
        sum = panel.gamma != nullptr ? _mm512_fmadd_ps(_mm512_loadu_ps(panel.gamma + v * kLanes), sum, input)
                                     : _mm512_add_ps(sum, input);
      }
      _mm512_storeu_ps(c[r] + panel.c_offset + v * kLanes, sum);
    }
  }
}

template <int kRows, int kVectors>
GCVIT_BF16_PAIRS void transposed_pairs(const float* a, std::int64_t a_stride, std::int64_t k, const Panel& panel,
                                       float* const* c) {
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_setzero_ps();
  }
  const float* b = panel.b;
  for (std::int64_t i = 0; i < k; ++i, a += a_stride, b += panel.b_stride) {
    __m512bh columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) columns[v] = (__m512bh)_mm512_loadu_ps(b + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const auto pair = (__m512bh)_mm512_set1_ps(a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, columns[v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* const at = c[r] + panel.c_offset + v * kLanes;
      _mm512_storeu_ps(at, panel.accumulate ? _mm512_add_ps(_mm512_loadu_ps(at), sums[r][v]) : sums[r][v]);
    }
  }
}

GCVIT_BF16_PAIRS std::int32_t round_vectors(const float* from, std::int32_t k, float scale, float* to) {
  const __m512 factor = _mm512_set1_ps(scale);
  std::int32_t i = 0;
  for (; i + 2 * kLanes <= k; i += 2 * kLanes) {
    const __m512 low = _mm512_mul_ps(factor, _mm512_loadu_ps(from + i));
    const __m512 high = _mm512_mul_ps(factor, _mm512_loadu_ps(from + i + kLanes));
    _mm512_storeu_ps(to + i / 2, (__m512)_mm512_cvtne2ps_pbh(high, low));
  }
  return i;
}

__attribute__((GCVIT_BF16_TARGET, always_inline)) inline __m512i halves_of(const float* from) {
  return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from)));
}

GCVIT_BF16_PAIRS void pair_vectors(const float* even, const float* odd, std::int32_t count, float* to) {
  for (std::int32_t i = 0; i < count; i += kLanes) {
    __m512i pairs = halves_of(even + i);
    if (odd != nullptr) pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(halves_of(odd + i), 16));
    _mm512_storeu_si512(to + i, pairs);
  }
}

/// Blocks of 1 to 12 rows.
template <int kVectors, std::size_t... kRows>
constexpr std::array<GemmBlock, kRowsMost> gemm_table(std::index_sequence<kRows...>) {
  return {gemm_pairs<static_cast<int>(kRows) + 1, kVectors>...};
}
template <int kVectors, std::size_t... kRows>
constexpr std::array<TransposedBlock, kRowsMost> transposed_table(std::index_sequence<kRows...>) {
  return {transposed_pairs<static_cast<int>(kRows) + 1, kVectors>...};
}

}  // namespace

bool has_bf16_pairs() {
  static const bool kHas = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
  }();
  return kHas;
}

std::int32_t round_whole_pairs(const float* from, std::int32_t k, float scale, float* to) {
  return round_vectors(from, k, scale, to);
}

void pair_rows(const float* even, const float* odd, std::int32_t count, float* to) {
  pair_vectors(even, odd, count, to);
}

GemmBlock gemm_pairs_block(std::int32_t rows, std::int32_t vectors) {
  constexpr auto kRows = std::make_index_sequence<kRowsMost>();
  static constexpr std::array kBlocks = {gemm_table<1>(kRows), gemm_table<2>(kRows)};
  return kBlocks[static_cast<std::size_t>(vectors - 1)][static_cast<std::size_t>(rows - 1)];
}

TransposedBlock transposed_pairs_block(std::int32_t rows, std::int32_t vectors) {
  constexpr auto kRows = std::make_index_sequence<kRowsMost>();
  static constexpr std::array kBlocks = {transposed_table<1>(kRows), transposed_table<2>(kRows)};
  return kBlocks[static_cast<std::size_t>(vectors - 1)][static_cast<std::size_t>(rows - 1)];
}

}  // namespace gcvit::kernels

#else

namespace gcvit::kernels {

bool has_bf16_pairs() { return false; }
std::int32_t round_whole_pairs(const float*, std::int32_t, float, float*) { return 0; }
void pair_rows(const float*, const float*, std::int32_t, float*) {}
GemmBlock gemm_pairs_block(std::int32_t, std::int32_t) { return nullptr; }
TransposedBlock transposed_pairs_block(std::int32_t, std::int32_t) { return nullptr; }

}  // namespace gcvit::kernels
#endif
