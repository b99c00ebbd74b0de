// SPDX-License-Identifier: Apache-2.0
#include "formats/permute.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/testing/error_of.h"

namespace gcvit::formats {
namespace {

Tensor counting(Dims dims) {
  Tensor tensor(DType::kF32, std::move(dims));
  std::iota(tensor.mutable_values().begin(), tensor.mutable_values().end(), 0.0f);
  return tensor;
}

TEST(Permute, AMatrixIsTransposed) {
  for (const Dims& dims : {Dims{1, 1}, Dims{1, 7}, Dims{7, 1}, Dims{16, 16}, Dims{17, 33}, Dims{40, 3}}) {
    const Tensor transposed = permuted(counting(dims), {1, 0});
    ASSERT_EQ(transposed.dims(), (Dims{dims[1], dims[0]}));
    for (std::int64_t row = 0; row < dims[0]; ++row) {
      for (std::int64_t column = 0; column < dims[1]; ++column) {
        ASSERT_EQ(transposed.values()[static_cast<std::size_t>(column * dims[0] + row)],
                  static_cast<float>(row * dims[1] + column))
            << to_string(dims) << ' ' << row << ' ' << column;
      }
    }
  }
}

TEST(Permute, AKernelGetsItsChannelsFirst) {
  const Dims dims{3, 2, 19, 35};
  const Tensor kernel = permuted(counting(dims), {3, 2, 0, 1});
  ASSERT_EQ(kernel.dims(), (Dims{35, 19, 3, 2}));
  std::size_t place = 0;
  for (std::int64_t out = 0; out < 35; ++out) {
    for (std::int64_t in = 0; in < 19; ++in) {
      for (std::int64_t y = 0; y < 3; ++y) {
        for (std::int64_t x = 0; x < 2; ++x) {
          ASSERT_EQ(kernel.values()[place++], static_cast<float>(((y * 2 + x) * 19 + in) * 35 + out));
        }
      }
    }
  }
}

TEST(Permute, ThereAndBackIsTheSameInEveryWidth) {
  const Tensor tensor = counting({3, 3, 5, 18});
  const auto there_and_back = [](const Tensor& t) { return permuted(permuted(t, {2, 3, 0, 1}), {2, 3, 0, 1}); };
  EXPECT_TRUE(std::ranges::equal(there_and_back(tensor).values(), tensor.values()));
  const Tensor half = tensor.to(DType::kF16);
  EXPECT_TRUE(std::ranges::equal(there_and_back(half).bytes(), half.bytes()));
  std::vector<std::byte> bytes(8 * 6 + 1);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  const Tensor wide(DType::kI64, {2, 3}, nullptr, std::span(bytes).subspan(1));  // at no even address
  EXPECT_TRUE(std::ranges::equal(permuted(permuted(wide, {1, 0}), {1, 0}).bytes(), wide.bytes()));
  const Tensor narrow(DType::kU8, {4, 5}, nullptr, std::span(bytes).first(20));
  EXPECT_EQ(permuted(narrow, {1, 0}).bytes()[1], bytes[5]);
}

TEST(Permute, NothingStaysNothing) { EXPECT_EQ(permuted(Tensor(DType::kF32, {3, 0}), {1, 0}).dims(), (Dims{0, 3})); }

TEST(Permute, AnOrderNamesEachAxisOnce) {
  const Tensor tensor = counting({2, 3});
  EXPECT_EQ(testing::error_of([&] { permuted(tensor, {0}); }), "[permute] expected an order of 2 axes, found {0}");
  EXPECT_EQ(testing::error_of([&] { permuted(tensor, {1, 1}); }),
            "[permute] expected an order of 2 axes, found {1, 1}");
  EXPECT_EQ(testing::error_of([&] { permuted(tensor, {0, 2}); }),
            "[permute] expected an order of 2 axes, found {0, 2}");
}

}  // namespace
}  // namespace gcvit::formats
