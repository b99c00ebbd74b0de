// SPDX-License-Identifier: Apache-2.0
#include "kernels/i8_quads.h"

#include <cstring>

#include "kernels/quantisation_scale.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define GCVIT_AVX512_VNNI target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#define GCVIT_ROUND __attribute__((GCVIT_AVX512_VNNI))
#define GCVIT_AVX_VNNI target("avx2,fma,avxvnni")

#define GCVIT_I8_QUADS_NAMESPACE avx512_vnni
#define GCVIT_I8_QUADS_ATTRIBUTES __attribute__((GCVIT_AVX512_VNNI, noinline))
#define GCVIT_I8_QUADS_INLINE __attribute__((GCVIT_AVX512_VNNI, always_inline)) inline
#include "kernels/i8_quads-inl.h"

#define GCVIT_I8_QUADS_NAMESPACE avx_vnni
#define GCVIT_I8_QUADS_ATTRIBUTES __attribute__((GCVIT_AVX_VNNI, noinline))
#define GCVIT_I8_QUADS_INLINE __attribute__((GCVIT_AVX_VNNI, always_inline)) inline
#include "kernels/i8_quads-inl.h"

namespace gcvit::kernels {
namespace {

#define GCVIT_OP __attribute__((GCVIT_AVX512_VNNI, always_inline)) static inline
struct Avx512Vnni {
  using Vec = __m512i;
  static constexpr int kLanes = 16;
  GCVIT_OP Vec load(const void* from) { return _mm512_loadu_si512(from); }
  GCVIT_OP Vec set(std::int32_t word) { return _mm512_set1_epi32(word); }
  GCVIT_OP void store(Vec sums, std::int32_t* to) { _mm512_storeu_si512(to, sums); }
  GCVIT_OP Vec multiply_add(Vec sums, Vec a, Vec b) { return _mm512_dpbusd_epi32(sums, a, b); }
  using Float = __m512;
  GCVIT_OP Float to_float(Vec integers) { return _mm512_cvtepi32_ps(integers); }
  GCVIT_OP Float load_float(const float* from) { return _mm512_loadu_ps(from); }
  GCVIT_OP Float set_float(float value) { return _mm512_set1_ps(value); }
  GCVIT_OP void store_float(Float floats, float* to) { _mm512_storeu_ps(to, floats); }
  GCVIT_OP Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  GCVIT_OP Float multiply_add_float(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
};
#undef GCVIT_OP

#define GCVIT_OP __attribute__((GCVIT_AVX_VNNI, always_inline)) static inline
struct AvxVnni {
  using Vec = __m256i;
  static constexpr int kLanes = 8;
  GCVIT_OP Vec load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  GCVIT_OP Vec set(std::int32_t word) { return _mm256_set1_epi32(word); }
  GCVIT_OP void store(Vec sums, std::int32_t* to) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums); }
  GCVIT_OP Vec multiply_add(Vec sums, Vec a, Vec b) { return _mm256_dpbusd_avx_epi32(sums, a, b); }
  using Float = __m256;
  GCVIT_OP Float to_float(Vec integers) { return _mm256_cvtepi32_ps(integers); }
  GCVIT_OP Float load_float(const float* from) { return _mm256_loadu_ps(from); }
  GCVIT_OP Float set_float(float value) { return _mm256_set1_ps(value); }
  GCVIT_OP void store_float(Float floats, float* to) { _mm256_storeu_ps(to, floats); }
  GCVIT_OP Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  GCVIT_OP Float multiply_add_float(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
};
#undef GCVIT_OP

bool has_avx512_vnni() {
  static const bool kHas = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  }();
  return kHas;
}

bool has_avx_vnni() {
  static const bool kHas = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avxvnni");
  }();
  return kHas;
}

I8Block block_of_cpu(std::int32_t lanes, std::int32_t rows, std::int32_t vectors) {
  if (lanes == 16 && has_avx512_vnni()) return avx512_vnni::quads_block<Avx512Vnni, 12>(rows, vectors);
  if (lanes == 8 && has_avx_vnni()) return avx_vnni::quads_block<AvxVnni, 6>(rows, vectors);
  return nullptr;
}

GCVIT_ROUND std::int32_t largest_magnitude(const float* const* pieces, std::int64_t stride, std::int64_t count,
                                           std::int64_t k) {
  // As integers floats without a sign have the floats' order, and infinity and NaN are above all.
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i most[4] = {};
  for (std::int64_t piece = 0; piece < count; ++piece) {
    const float* const from = pieces[piece * stride];
    std::int64_t i = 0;
    for (; i + 64 <= k; i += 64) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const __m512i bits = _mm512_loadu_si512(from + i + 16 * v);
        most[v] = _mm512_max_epi32(most[v], _mm512_and_si512(bits, magnitude));
      }
    }
    for (; i < k; i += 16) {
      most[0] = _mm512_max_epi32(most[0], _mm512_and_si512(_mm512_loadu_si512(from + i), magnitude));
    }
  }
  return _mm512_reduce_max_epi32(
      _mm512_max_epi32(_mm512_max_epi32(most[0], most[1]), _mm512_max_epi32(most[2], most[3])));
}

GCVIT_ROUND void round_to_bytes(const float* from, std::int64_t k, float scale, unsigned char* to) {
  const __m512 factor = _mm512_set1_ps(scale);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  std::int64_t i = 0;
  for (; i + 64 <= k; i += 64) {
    __m512i integers[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      integers[v] = _mm512_cvtps_epi32(_mm512_mul_ps(factor, _mm512_loadu_ps(from + i + 16 * v)));
    }
    const __m512i bytes =
        _mm512_packs_epi16(_mm512_packs_epi32(integers[0], integers[1]), _mm512_packs_epi32(integers[2], integers[3]));
    const __m512i ordered = _mm512_permutexvar_epi32(order, bytes);
    _mm512_storeu_si512(to + i, _mm512_xor_si512(ordered, _mm512_set1_epi8(static_cast<char>(0x80))));
  }
  for (; i < k; i += 16) {
    const __m512i integers = _mm512_cvtps_epi32(_mm512_mul_ps(factor, _mm512_loadu_ps(from + i)));
    const __m128i bytes = _mm512_cvtepi32_epi8(integers);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm_xor_si128(bytes, _mm_set1_epi8(static_cast<char>(0x80))));
  }
}

}  // namespace

bool rounds_to_quads(std::int32_t lanes, std::int64_t k) { return lanes == 16 && k % 16 == 0 && has_avx512_vnni(); }

GCVIT_ROUND float round_row_to_quads(const float* const* pieces, std::int64_t stride, std::int64_t count,
                                     std::int64_t k, unsigned char* to) {
  const QuantisationScale scale = quantisation_scale(largest_magnitude(pieces, stride, count, k));
  if (!scale.rounds) {
    std::memset(to, 128, static_cast<std::size_t>(count * k));
    return scale.from_integer;
  }
  for (std::int64_t piece = 0; piece < count; ++piece) {
    round_to_bytes(pieces[piece * stride], k, scale.to_integer, to + piece * k);
  }
  return scale.from_integer;
}

}  // namespace gcvit::kernels

#else

namespace gcvit::kernels {
namespace {

I8Block block_of_cpu(std::int32_t, std::int32_t, std::int32_t) { return nullptr; }

}  // namespace

bool rounds_to_quads(std::int32_t, std::int64_t) { return false; }
float round_row_to_quads(const float* const*, std::int64_t, std::int64_t, std::int64_t, unsigned char*) { return 0.0f; }

}  // namespace gcvit::kernels
#endif

namespace gcvit::kernels {
namespace {

I8Block (*blocks_in_use)(std::int32_t lanes, std::int32_t rows, std::int32_t vectors) = block_of_cpu;

}  // namespace

I8Block i8_quads_block(std::int32_t lanes, std::int32_t rows, std::int32_t vectors) {
  return blocks_in_use(lanes, rows, vectors);
}

void replace_i8_quads(I8Block (*blocks)(std::int32_t lanes, std::int32_t rows, std::int32_t vectors)) {
  blocks_in_use = blocks == nullptr ? block_of_cpu : blocks;
}

}  // namespace gcvit::kernels
