// SPDX-License-Identifier: Apache-2.0
#include "kernels/bf16_tiles.h"

#include <atomic>

namespace gcvit::kernels {
namespace {

std::atomic<bool> tiles_allowed{true};

}  // namespace

void allow_bf16_tiles(bool allowed) { tiles_allowed = allowed; }

}  // namespace gcvit::kernels

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GCVIT_TILES __attribute__((target("avx512f,amx-tile,amx-bf16"), noinline))

namespace gcvit::kernels {
namespace {

constexpr int kLanes = 16;

/// All eight tiles have 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig kConfig;

bool may_use_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1u << 22;
  constexpr unsigned kTile = 1u << 24;
  __builtin_cpu_init();
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  if (!__builtin_cpu_supports("avx512bw")) return false;
  // Linux hands out the tiles' registers on request alone (arch_prctl ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
  constexpr long kRequest = 0x1023;
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

template <bool kSecondRows, bool kSecondColumns>
GCVIT_TILES void multiply(const TileOperands& x, float* sums) {
  const auto a_bytes = static_cast<std::size_t>(x.a_stride) * sizeof(float);
  const auto b_bytes = static_cast<std::size_t>(x.b_stride) * sizeof(float);
  const float* second_b = x.b + kLanes;
  const std::int64_t second_a = 16 * x.a_stride;
  _tile_zero(0);
  if (kSecondColumns) _tile_zero(1);
  if (kSecondRows) _tile_zero(2);
  if (kSecondRows && kSecondColumns) _tile_zero(3);
  std::int64_t row = 0;
  for (std::int32_t tap = 0; tap < x.taps; ++tap) {
    const float* a = x.a + tap * x.a_tap_stride;
    for (std::int32_t i = 0; i < x.depth; i += kTileDepth, row += kTileDepth * x.b_stride) {
      _tile_loadd(4, a + i, a_bytes);
      _tile_loadd(6, x.b + row, b_bytes);
      _tile_dpbf16ps(0, 4, 6);
      if (kSecondColumns) {
        _tile_loadd(7, second_b + row, b_bytes);
        _tile_dpbf16ps(1, 4, 7);
      }
      if (kSecondRows) {
        _tile_loadd(5, a + second_a + i, a_bytes);
        _tile_dpbf16ps(2, 5, 6);
        if (kSecondColumns) _tile_dpbf16ps(3, 5, 7);
      }
    }
  }
  constexpr std::size_t kSumBytes = kTileBlock * sizeof(float);
  _tile_stored(0, sums, kSumBytes);
  if (kSecondColumns) _tile_stored(1, sums + kLanes, kSumBytes);
  if (kSecondRows) _tile_stored(2, sums + 16 * kTileBlock, kSumBytes);
  if (kSecondRows && kSecondColumns) _tile_stored(3, sums + 16 * kTileBlock + kLanes, kSumBytes);
}

GCVIT_TILES void load_config() { _tile_loadconfig(&kConfig); }
GCVIT_TILES void release() { _tile_release(); }

}  // namespace

bool has_bf16_tiles() {
  static const bool kHas = may_use_tiles();
  return kHas && tiles_allowed;
}

TileScope::TileScope() { load_config(); }
TileScope::~TileScope() { release(); }

void multiply_tiles(const TileOperands& operands, float* sums) {
  const bool second_rows = operands.rows > 16;
  if (operands.vectors == 2) {
    second_rows ? multiply<true, true>(operands, sums) : multiply<false, true>(operands, sums);
  } else {
    second_rows ? multiply<true, false>(operands, sums) : multiply<false, false>(operands, sums);
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12's own intrinsics
#endif
GCVIT_TILES void transpose_pairs(const float* from, float* to, std::int64_t to_stride) {
  __m512 rows[16];
  __m512 steps[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_ps(from + i * 16);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    steps[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
    steps[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
  }
  // rows[4g + j]: lanes of 4 with elements 4q + j of rows 4g .. 4g + 3, q the lane.
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    const __m512d low = _mm512_castps_pd(steps[4 * g]);
    const __m512d high = _mm512_castps_pd(steps[4 * g + 1]);
    const __m512d low2 = _mm512_castps_pd(steps[4 * g + 2]);
    const __m512d high2 = _mm512_castps_pd(steps[4 * g + 3]);
    rows[4 * g] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
    rows[4 * g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
    rows[4 * g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
    rows[4 * g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 even01 = _mm512_shuffle_f32x4(rows[j], rows[4 + j], 0x88);       // lanes 0, 2 of groups 0, 1
    const __m512 odd01 = _mm512_shuffle_f32x4(rows[j], rows[4 + j], 0xdd);        // lanes 1, 3
    const __m512 even23 = _mm512_shuffle_f32x4(rows[8 + j], rows[12 + j], 0x88);
    const __m512 odd23 = _mm512_shuffle_f32x4(rows[8 + j], rows[12 + j], 0xdd);
    _mm512_storeu_ps(to + (0 + j) * to_stride, _mm512_shuffle_f32x4(even01, even23, 0x88));
    _mm512_storeu_ps(to + (8 + j) * to_stride, _mm512_shuffle_f32x4(even01, even23, 0xdd));
    _mm512_storeu_ps(to + (4 + j) * to_stride, _mm512_shuffle_f32x4(odd01, odd23, 0x88));
    _mm512_storeu_ps(to + (12 + j) * to_stride, _mm512_shuffle_f32x4(odd01, odd23, 0xdd));
  }
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace gcvit::kernels

#else

namespace gcvit::kernels {

bool has_bf16_tiles() { return false; }
TileScope::TileScope() = default;
TileScope::~TileScope() = default;
void multiply_tiles(const TileOperands&, float*) {}
void transpose_pairs(const float*, float*, std::int64_t) {}

}  // namespace gcvit::kernels
#endif
