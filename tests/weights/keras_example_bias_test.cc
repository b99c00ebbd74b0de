// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_example_bias.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/weights/test_files.h"

namespace gcvit::weights {
namespace {

TEST(KerasExampleBias, EveryHeadGetsTheFlattenedTakesElement) {
  const Tensor table = Tensor::from_values({3, 2}, std::vector<float>{10, 11, 12, 13, 14, 15});
  const Tensor rewritten = keras_example_bias_table(table);
  EXPECT_EQ(rewritten.dims(), table.dims());
  EXPECT_TRUE(std::ranges::equal(rewritten.values(), std::vector<float>{10, 10, 11, 11, 12, 12}));
}

TEST(KerasExampleBias, OneHeadStaysAsItIs) {
  const Tensor table = Tensor::from_values({3, 1}, std::vector<float>{1, 2, 3});
  EXPECT_TRUE(std::ranges::equal(keras_example_bias_table(table).values(), table.values()));
}

TEST(KerasExampleBias, ATableHasTwoAxes) {
  EXPECT_EQ(error_of([] { keras_example_bias_table(Tensor(DType::kF32, {4})); }),
            "[weights] bias table: expected [rows, heads], found [4]");
}

}  // namespace
}  // namespace gcvit::weights
