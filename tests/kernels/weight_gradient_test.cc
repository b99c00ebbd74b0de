// SPDX-License-Identifier: Apache-2.0
// The weight gradient's product against a plain loop in double precision: every row and column tail, short and long sums.
#include "kernels/weight_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/aligned_buffer.h"
#include "base/half.h"
#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::in_every_bf16_form;
using testing::InputRows;
using testing::kRounding;
using testing::on_every_target;
using testing::OutputRows;
using testing::random_floats;

/// C, rows of `columns` floats between guards, after adding the product to what `random_floats` gives.
class Product {
 public:
  Product(int count, int rows, int columns, Precision precision = Precision::kF32)
      : precision_(precision),
        count_(count),
        rows_(rows),
        columns_(columns),
        a_(count, rows, 1),
        b_(count, columns, 2),
        c_(rows, columns) {
    for (int r = 0; r < rows; ++r) std::copy_n(before(r).data(), columns, c_[r]);
  }

  void run(int first_row, int rows, int first_column, int columns) {
    AlignedBuffer scratch(weight_gradient_scratch_size());
    weight_gradient({.a = a_.pointers(),
                     .b = b_.pointers(),
                     .count = count_,
                     .c = c_[0],
                     .c_stride = rows_ == 1 ? columns_ : c_[1] - c_[0],
                     .first_row = first_row,
                     .rows = rows,
                     .first_column = first_column,
                     .columns = columns,
                     .scratch = scratch.data(),
                     .precision = precision_});
  }

  void expect_sums() const {
    c_.expect_guards();
    for (int r = 0; r < rows_; ++r) {
      const std::vector<float> started = before(r);
      for (int column = 0; column < columns_; ++column) {
        double sum = started[static_cast<std::size_t>(column)];
        double magnitude = std::abs(sum);
        for (int n = 0; n < count_; ++n) {
          const double term = operand(a_[n][r]) * operand(b_[n][column]);
          sum += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(c_[r][column], sum, (count_ + 2) * kRounding * magnitude)
            << count_ << " rows n, row " << r << " of " << rows_ << ", column " << column << " of " << columns_;
      }
    }
  }

  float at(int row, int column) const { return c_[row][column]; }

 private:
  std::vector<float> before(int row) const { return random_floats(columns_, 77 + static_cast<unsigned>(row)); }

  double operand(float value) const {
    return precision_ == Precision::kF32 ? value : f32_from_bf16(bf16_from_f32(value));
  }

  Precision precision_;
  int count_, rows_, columns_;
  InputRows a_, b_;
  OutputRows c_;
};

TEST(WeightGradient, EveryRowAndColumnTail) {
  on_every_target([] {
    for (int rows = 1; rows <= 14; ++rows) {
      for (int columns = 1; columns <= 35; ++columns) {
        Product product(3, rows, columns);
        product.run(0, rows, 0, columns);
        product.expect_sums();
      }
    }
  });
}

TEST(WeightGradient, ShortAndLongSumsAndManyRows) {
  on_every_target([] {
    for (const int count : {0, 1, 255, 256, 257, 600}) {
      Product product(count, 200, 20);
      product.run(0, 200, 0, 20);
      product.expect_sums();
    }
  });
}

TEST(WeightGradient, Bf16RoundsTheOperandsAlone) {
  in_every_bf16_form([] {
    for (int rows = 1; rows <= 14; ++rows) {
      for (int columns = 1; columns <= 35; columns += 2) {
        Product product(columns % 9, rows, columns, Precision::kBf16);
        product.run(0, rows, 0, columns);
        product.expect_sums();
      }
    }
    for (const int count : {127, 128, 129, 600}) {
      Product product(count, 30, 20, Precision::kBf16);
      product.run(0, 30, 0, 20);
      product.expect_sums();
    }
  });
}

TEST(WeightGradient, PiecesGiveTheSameBits) {
  on_every_target([] {
    for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
      Product whole(301, 25, 50, precision);
      whole.run(0, 25, 0, 50);
      Product pieces(301, 25, 50, precision);
      pieces.run(0, 7, 0, 33);
      pieces.run(7, 18, 0, 33);
      pieces.run(0, 25, 33, 17);
      for (int r = 0; r < 25; ++r) {
        for (int column = 0; column < 50; ++column) ASSERT_EQ(whole.at(r, column), pieces.at(r, column));
      }
    }
  });
}

}  // namespace
}  // namespace gcvit::kernels
