// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <cmath>

namespace gcvit {
namespace {

/// The natural logarithm by arithmetic alone: the C library's differs in the last bit from machine to machine.
double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // [0.5, 1)
  if (mantissa < 0.70710678118654752440) {
    mantissa *= 2.0;
    --exponent;
  }
  // log m = 2 atanh(z), z = (m - 1) / (m + 1), |z| < 0.172: the series' 12th term is below 1e-18.
  const double z = (mantissa - 1.0) / (mantissa + 1.0);
  const double z2 = z * z;
  double sum = 0.0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * z2 + 1.0 / k;
  return 2.0 * z * sum + 0.69314718055994530942 * exponent;
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

std::uint32_t Random::bits() {
  if (used_ == words_.size()) {
    words_ = philox({static_cast<std::uint32_t>(block_), static_cast<std::uint32_t>(block_ >> 32),
                     static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                    {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
    ++block_;
    used_ = 0;
  }
  return words_[used_++];
}

float Random::uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }

std::uint32_t Random::below(std::uint32_t count) {
  // The high word of bits * count is even but for the first 2^32 mod count low words, which are drawn again.
  const std::uint32_t uneven = (0u - count) % count;
  while (true) {
    const std::uint64_t product = std::uint64_t{bits()} * count;
    if (static_cast<std::uint32_t>(product) >= uneven) return static_cast<std::uint32_t>(product >> 32);
  }
}

float Random::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return static_cast<float>(spare_);
  }
  // Marsaglia's polar method: a point in the unit circle gives two normals.
  while (true) {
    const double u = static_cast<double>(bits()) * 0x1p-31 - 1.0;
    const double v = static_cast<double>(bits()) * 0x1p-31 - 1.0;
    const double s = u * u + v * v;
    if (s >= 1.0 || s == 0.0) continue;
    const double factor = std::sqrt(-2.0 * portable_log(s) / s);
    spare_ = v * factor;
    has_spare_ = true;
    return static_cast<float>(u * factor);
  }
}

}  // namespace gcvit
