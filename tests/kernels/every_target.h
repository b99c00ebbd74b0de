// SPDX-License-Identifier: Apache-2.0
// What kernel tests share: running on every SIMD target, operands at odd addresses, guards around results.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/bf16_tiles.h"
#include "kernels/target.h"

namespace gcvit::kernels::testing {

/// Calls `body()` under each target that this CPU can run, then takes the one that was in use before.
template <typename Body>
void on_every_target(const Body& body) {
  const std::string before = target();
  for (const std::string& name : available_targets()) {
    SCOPED_TRACE(name);
    force_target(name);
    body();
  }
  force_target(before);
}

/// The same, and where this CPU has matrix tiles without them too.
template <typename Body>
void in_every_bf16_form(const Body& body) {
  on_every_target(body);
  if (!has_bf16_tiles()) return;
  SCOPED_TRACE("without tiles");
  allow_bf16_tiles(false);
  body();
  allow_bf16_tiles(true);
}

/// `count` numbers from a normal distribution.
inline std::vector<float> random_floats(std::int64_t count, unsigned seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

/// Rows of random numbers, each in memory of its own that ends where it ends, four bytes behind an aligned address.
class InputRows {
 public:
  InputRows(int count, int width, unsigned seed) {
    for (int row = 0; row < count; ++row) {
      rows_.push_back(random_floats(width + 1, seed * 1000 + static_cast<unsigned>(row)));
      pointers_.push_back(rows_.back().data() + 1);
    }
  }
  const float* const* pointers() const { return pointers_.data(); }
  const float* operator[](int row) const { return pointers_[static_cast<std::size_t>(row)]; }
  void set(int row, int column, float value) {
    rows_[static_cast<std::size_t>(row)][static_cast<std::size_t>(column) + 1] = value;
  }

 private:
  std::vector<std::vector<float>> rows_;
  std::vector<const float*> pointers_;
};

/// Rows for results at odd addresses, with guards before and behind each that a kernel must leave as they are.
class OutputRows {
 public:
  OutputRows(int count, int width) : width_(static_cast<std::size_t>(width)) {
    const std::size_t stride = width_ + kGuards;
    memory_.assign(static_cast<std::size_t>(count) * stride + kGuards, std::bit_cast<float>(kGuard));
    for (int row = 0; row < count; ++row)
      pointers_.push_back(memory_.data() + kGuards + static_cast<std::size_t>(row) * stride);
  }
  float* const* pointers() const { return pointers_.data(); }
  float* operator[](int row) const { return pointers_[static_cast<std::size_t>(row)]; }

  /// Whether a number is one that nobody has written.
  static bool is_guard(float value) { return std::bit_cast<std::uint32_t>(value) == kGuard; }
  void expect_guards() const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const bool inside = i >= kGuards && (i - kGuards) % (width_ + kGuards) < width_;
      ASSERT_TRUE(inside || is_guard(memory_[i])) << "written " << i << " floats in, rows are " << width_ << " wide";
    }
  }

 private:
  static constexpr std::size_t kGuards = 37;           ///< more than two of the widest vectors
  static constexpr std::uint32_t kGuard = 0x7fc0dead;  ///< a NaN: whoever computes with it shows it
  std::size_t width_;
  std::vector<float> memory_;
  std::vector<float*> pointers_;
};

inline double exact_gelu(double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); }
inline double exact_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Half a unit in the last place of 1: what one rounding adds, relative to the value.
inline constexpr double kRounding = 0x1p-24;

}  // namespace gcvit::kernels::testing
