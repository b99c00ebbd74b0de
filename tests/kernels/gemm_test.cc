// SPDX-License-Identifier: Apache-2.0
// The dense product against a plain loop in double precision: every row count, column tail, depth and epilogue.
#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

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

enum class End { kPlain, kGelu, kSigmoid, kResidual, kGamma };
constexpr End kEnds[] = {End::kPlain, End::kGelu, End::kSigmoid, End::kResidual, End::kGamma};

struct Problem {
  int rows, columns, taps, k;
  bool with_bias = true;
  End end = End::kPlain;
  Precision precision = Precision::kF32;
};

/// A problem's operands, made once and run as a whole or in pieces.
class Product {
 public:
  explicit Product(const Problem& problem)
      : problem_(problem),
        a_(problem.rows * problem.taps, problem.k, 1),
        residual_(problem.rows, problem.columns, 2),
        weights_(random_floats(std::int64_t{problem.columns} * problem.taps * problem.k, 3)),
        bias_(random_floats(problem.columns, 4)),
        gamma_(random_floats(problem.columns, 5)),
        packed_(pack_weights(weights_.data(), problem.with_bias ? bias_.data() : nullptr, problem.columns, problem.taps,
                             problem.k, problem.precision)) {}

  const PackedWeights& packed() const { return packed_; }

  /// Rows [first, first + count) of panels [first_panel, last_panel) into `c`, whose rows begin at column `first_column`.
  void run(float* const* c, int first, int count, int first_panel, int last_panel, int first_column = 0) const {
    std::vector<const float*> a;
    for (int tap = 0; tap < problem_.taps; ++tap) {
      for (int r = 0; r < count; ++r) a.push_back(a_[tap * problem_.rows + first + r]);
    }
    std::vector<const float*> residual;
    for (int r = 0; r < count; ++r) residual.push_back(residual_[first + r] + first_column);
    const bool added = problem_.end == End::kResidual || problem_.end == End::kGamma;
    const GemmActivation activation = problem_.end == End::kGelu      ? GemmActivation::kGelu
                                      : problem_.end == End::kSigmoid ? GemmActivation::kSigmoid
                                                                      : GemmActivation::kNone;
    gemm(packed_,
         {.a = a.data(),
          .c = c,
          .residual = added ? residual.data() : nullptr,
          .count = count,
          .first_column = first_column},
         {.activation = activation, .gamma = problem_.end == End::kGamma ? gamma_.data() : nullptr}, first_panel,
         last_panel);
  }

  void expect(float found, int row, int column) const {
    const auto j = static_cast<std::size_t>(column);
    const int depth = problem_.taps * problem_.k;
    double sum = problem_.with_bias ? bias_[j] : 0.0;
    double magnitude = std::abs(sum);
    for (int tap = 0; tap < problem_.taps; ++tap) {
      for (int i = 0; i < problem_.k; ++i) {
        const double term =
            operand(a_[tap * problem_.rows + row][i], packed_.form != OperandForm::kHalves) *
            operand(weights_[j * static_cast<std::size_t>(depth) + static_cast<std::size_t>(tap * problem_.k + i)]);
        sum += term;
        magnitude += std::abs(term);
      }
    }
    // Every addition and product may round once; activations have slopes of at most 1.13.
    double tolerance = 1.2 * (2 * depth + 2) * kRounding * magnitude;
    double expected = sum;
    switch (problem_.end) {
      case End::kPlain: break;
      case End::kGelu:
        expected = testing::exact_gelu(sum);
        tolerance += 3e-7 * std::abs(sum);
        break;
      case End::kSigmoid:
        expected = testing::exact_sigmoid(sum);
        tolerance += 4 * kRounding;
        break;
      case End::kResidual:
      case End::kGamma: {
        const double factor = problem_.end == End::kGamma ? gamma_[j] : 1.0;
        expected = residual_[row][column] + factor * sum;
        tolerance =
            std::abs(factor) * tolerance + 2 * kRounding * (std::abs(factor * sum) + std::abs(residual_[row][column]));
        break;
      }
    }
    ASSERT_NEAR(found, expected, tolerance) << "row " << row << " column " << column;
  }

  /// All of it onto rows that hold the residual.
  void run_in_place(float* const* c) const {
    gemm(packed_, {.a = a_.pointers(), .c = c, .residual = c, .count = problem_.rows},
         {.gamma = problem_.end == End::kGamma ? gamma_.data() : nullptr}, 0, panel_count(problem_.columns));
  }
  const float* residual_row(int row) const { return residual_[row]; }

 private:
  double operand(float value, bool is_rounded = true) const {
    return problem_.precision == Precision::kF32 || !is_rounded ? value : f32_from_bf16(bf16_from_f32(value));
  }

  Problem problem_;
  InputRows a_;
  InputRows residual_;
  std::vector<float> weights_;
  std::vector<float> bias_;
  std::vector<float> gamma_;
  PackedWeights packed_;
};

void expect_product(const Problem& problem) {
  SCOPED_TRACE(::testing::Message() << problem.rows << " rows, " << problem.columns << " columns, " << problem.taps
                                    << " taps of " << problem.k << ", end " << static_cast<int>(problem.end));
  const Product product(problem);
  const OutputRows c(problem.rows, problem.columns);
  product.run(c.pointers(), 0, problem.rows, 0, panel_count(problem.columns));
  for (int row = 0; row < problem.rows; ++row) {
    for (int column = 0; column < problem.columns; ++column) product.expect(c[row][column], row, column);
  }
  c.expect_guards();
}

TEST(Gemm, EveryRowCountAndColumnTail) {
  on_every_target([] {
    for (int rows = 1; rows <= 15; ++rows) {
      for (int columns = 1; columns <= 2 * panel_width() + 1; ++columns) {
        expect_product({.rows = rows,
                        .columns = columns,
                        .taps = 1,
                        .k = 5,
                        .with_bias = columns % 2 == 0,
                        .end = kEnds[(rows + columns) % 5]});
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST(Gemm, EveryDepthAndTapCount) {
  on_every_target([] {
    for (int k = 1; k <= 40; ++k) {
      for (int taps = 1; taps <= 9; taps += taps < 3 ? 1 : 6) {
        for (const int columns : {3, panel_width()}) {
          expect_product({.rows = 4, .columns = columns, .taps = taps, .k = k, .end = kEnds[k % 5]});
        }
      }
    }
  });
}

TEST(Gemm, EveryEndOnManyRows) {
  on_every_target([] {
    for (const End end : kEnds) {
      for (const bool with_bias : {false, true}) {
        for (const int rows : {1, 16, 49, 50}) {
          expect_product(
              {.rows = rows, .columns = 3 * panel_width() - 1, .taps = 1, .k = 96, .with_bias = with_bias, .end = end});
        }
      }
    }
  });
}

constexpr Precision kBf16Precisions[] = {Precision::kBf16, Precision::kBf16Weights};

void expect_bf16_products(Precision precision) {
  for (int rows = 1; rows <= 25; ++rows) {
    for (const int columns : {1, panel_width() / 2, panel_width() / 2 + 1, 2 * panel_width() - 1}) {
      expect_product({.rows = rows,
                      .columns = columns,
                      .taps = 1 + rows % 3,
                      .k = 2 * rows + columns % 2,
                      .with_bias = rows % 2 == 0,
                      .end = kEnds[(rows + columns) % 5],
                      .precision = precision});
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  for (int k = 1; k <= 80; ++k) {
    expect_product({.rows = 3, .columns = 5, .taps = 2, .k = k, .precision = precision});
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(Gemm, Bf16RoundsTheOperandsAlone) {
  in_every_bf16_form([] {
    for (const Precision precision : kBf16Precisions) expect_bf16_products(precision);
  });
}

TEST(Gemm, Bf16WeightsTakeHalfTheMemory) {
  in_every_bf16_form([] {
    const std::vector<float> weights(64 * 96, 1.0f);
    const std::int64_t f32 = pack_weights(weights.data(), nullptr, 64, 1, 96).panels.size();
    const std::int64_t bf16 = pack_weights(weights.data(), nullptr, 64, 1, 96, Precision::kBf16Weights).panels.size();
    EXPECT_LE(bf16, f32 / 2 + 1);
  });
}

TEST(Gemm, Bf16WeightsComeBackRounded) {
  in_every_bf16_form([] {
    for (const int k : {1, 2, 31, 32, 33, 50})
      for (const Precision precision : kBf16Precisions) {
        const int columns = panel_width() + 3;
        std::vector<float> weights(static_cast<std::size_t>(columns * 3 * k));
        for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
        const PackedWeights packed = pack_weights(weights.data(), nullptr, columns, 3, k, precision);
        std::vector<float> back(weights.size());
        unpack_weights(packed, back.data());
        for (float& weight : weights) weight = f32_from_bf16(bf16_from_f32(weight));
        EXPECT_EQ(back, weights) << k;
      }
  });
}

TEST(Gemm, Bf16KeepsWhatIsNotFinite) {
  in_every_bf16_form([] {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (const Precision precision : kBf16Precisions) {
        std::vector<float> a(50, 1.0f);
        a[49] = bad;
        const std::vector<float> weights(50, 1.0f);
        const PackedWeights packed = pack_weights(weights.data(), nullptr, 1, 1, 50, precision);
        const float* row = a.data();
        float sum = 0.0f;
        float* c = &sum;
        gemm(packed, {.a = &row, .c = &c, .count = 1}, {}, 0, 1);
        EXPECT_TRUE(std::isnan(bad) ? std::isnan(sum) : sum == bad) << sum;
      }
  });
}

TEST(Gemm, NoRowsOrNoPanelsDoNothing) {
  on_every_target([] {
    const Product product({.rows = 2, .columns = 5, .taps = 1, .k = 3});
    const OutputRows c(2, 5);
    product.run(c.pointers(), 0, 0, 0, 1);
    product.run(c.pointers(), 0, 2, 1, 1);
    for (int column = 0; column < 5; ++column) EXPECT_TRUE(OutputRows::is_guard(c[1][column]));
    c.expect_guards();
  });
}

TEST(Gemm, PanelsAreIndependentOfEachOther) {
  on_every_target([] {
    const int width = panel_width();
    for (const End end : kEnds) {
      for (const int columns : {3 * width, 2 * width + 3}) {
        const Problem problem{.rows = 7, .columns = columns, .taps = 2, .k = 6, .end = end};
        const Product product(problem);
        // Only the panel asked for, into rows that begin at its first column.
        for (int p = 0; p < panel_count(columns); ++p) {
          const int count = std::min(width, columns - p * width);
          const OutputRows c(problem.rows, count);
          product.run(c.pointers(), 0, problem.rows, p, p + 1, p * width);
          for (int row = 0; row < problem.rows; ++row) {
            for (int column = 0; column < count; ++column) product.expect(c[row][column], row, p * width + column);
          }
          c.expect_guards();
        }
        // The middle panel into whole rows: what lies left and right of it stays.
        const OutputRows c(problem.rows, columns);
        product.run(c.pointers(), 0, problem.rows, 1, 2);
        for (int column = 0; column < columns; ++column) {
          EXPECT_EQ(OutputRows::is_guard(c[3][column]), column < width || column >= 2 * width) << column;
        }
      }
    }
  });
}

TEST(Gemm, TheResidualMayBeTheResult) {
  on_every_target([] {
    for (const End end : {End::kResidual, End::kGamma}) {
      const Problem problem{.rows = 9, .columns = panel_width() + 5, .taps = 1, .k = 11, .end = end};
      const Product product(problem);
      const OutputRows separate(problem.rows, problem.columns);
      product.run(separate.pointers(), 0, problem.rows, 0, panel_count(problem.columns));
      // The same product on top of a copy of the residual, as a block's second half runs.
      const OutputRows c(problem.rows, problem.columns);
      for (int r = 0; r < problem.rows; ++r) std::copy_n(product.residual_row(r), problem.columns, c[r]);
      product.run_in_place(c.pointers());
      for (int r = 0; r < problem.rows; ++r) {
        EXPECT_EQ(std::memcmp(c[r], separate[r], sizeof(float) * static_cast<std::size_t>(problem.columns)), 0) << r;
      }
    }
  });
}

TEST(Gemm, SameBitsWhateverRowsAndPanelsAreComputedTogether) {
  on_every_target([] {
    for (const End end : kEnds) {
      const Problem problem{.rows = 15, .columns = 2 * panel_width() + 3, .taps = 3, .k = 33, .end = end};
      const Product product(problem);
      const OutputRows whole(problem.rows, problem.columns);
      const int panels = panel_count(problem.columns);
      product.run(whole.pointers(), 0, problem.rows, 0, panels);
      for (int count = 1; count < problem.rows; ++count) {
        const OutputRows pieces(problem.rows, problem.columns);
        for (int first = 0; first < problem.rows; first += count) {
          for (int p = 0; p < panels; ++p) {
            product.run(pieces.pointers() + first, first, std::min(count, problem.rows - first), p, p + 1);
          }
        }
        for (int r = 0; r < problem.rows; ++r) {
          ASSERT_EQ(std::memcmp(pieces[r], whole[r], sizeof(float) * static_cast<std::size_t>(problem.columns)), 0)
              << "row " << r << " in pieces of " << count;
        }
      }
    }
  });
}

TEST(PackWeights, LaysColumnsInPanelsFilledUpWithZeros) {
  on_every_target([] {
    const int width = panel_width();
    const int columns = width + 3;
    constexpr int kDepth = 4;  // two taps of two
    std::vector<float> weights;
    for (int i = 0; i < columns * kDepth; ++i) weights.push_back(static_cast<float>(i + 1));
    const std::vector<float> bias = random_floats(columns, 1);
    const PackedWeights packed = pack_weights(weights.data(), bias.data(), columns, 2, 2);
    EXPECT_EQ(packed.columns, columns);
    EXPECT_EQ(packed.panel_stride(), kDepth * width);
    const int padded = panel_count(columns) * width;
    ASSERT_TRUE(padded >= columns && padded < columns + width);
    ASSERT_EQ(packed.panels.size(), kDepth * padded);
    ASSERT_EQ(packed.bias.size(), padded);
    for (int column = 0; column < padded; ++column) {
      for (int i = 0; i < kDepth; ++i) {
        const float expected = column < columns ? weights[static_cast<std::size_t>(column * kDepth + i)] : 0.0f;
        ASSERT_EQ(packed.panels.data()[(column / width * kDepth + i) * width + column % width], expected);
      }
      ASSERT_EQ(packed.bias.data()[column], column < columns ? bias[static_cast<std::size_t>(column)] : 0.0f);
    }
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(packed.panels.data()) % kAlignment, 0u);
  });
}

/// What an activation makes of each x, through a product that passes x on as it is: 1 * x + 0.
std::vector<float> activated(std::span<const float> x, GemmActivation activation) {
  const auto count = static_cast<std::int32_t>(x.size());
  const PackedWeights weights = pack_weights(x.data(), nullptr, count, 1, 1);
  const float one = 1.0f;
  const float* a = &one;
  std::vector<float> y(x.size());
  float* c = y.data();
  gemm(weights, {.a = &a, .c = &c, .count = 1}, {.activation = activation}, 0, panel_count(count));
  return y;
}

/// Evenly spaced numbers, dense enough that every interval of a polynomial or table is met.
std::vector<float> range(float first, float last, int steps) {
  std::vector<float> x;
  for (int i = 0; i <= steps; ++i)
    x.push_back(first + (last - first) * static_cast<float>(i) / static_cast<float>(steps));
  return x;
}

TEST(Activations, GeluIsWithinItsBoundAtFloatsOfEverySize) {
  on_every_target([] {
    // Every 997th float up to 16, of both signs.
    std::vector<float> x;
    for (std::uint32_t bits = 0; bits < std::bit_cast<std::uint32_t>(16.0f); bits += 997) {
      x.push_back(std::bit_cast<float>(bits));
      x.push_back(-x.back());
    }
    const std::vector<float> y = activated(x, GemmActivation::kGelu);
    double worst = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = testing::exact_gelu(x[i]);
      worst = std::max(worst, std::abs(y[i] - exact) - testing::kRounding * std::abs(exact));
      ASSERT_GE(x[i] * y[i], 0.0f) << x[i];
    }
    EXPECT_LT(worst, 1.1e-7);
  });
}

TEST(Activations, GeluIsWithinAFewRoundings) {
  on_every_target([] {
    const std::vector<float> x = range(-12.0f, 12.0f, 400'000);
    const std::vector<float> y = activated(x, GemmActivation::kGelu);
    double worst = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      worst = std::max(worst, std::abs(y[i] - testing::exact_gelu(x[i])) / std::max(1.0, std::abs(double{x[i]})));
    }
    EXPECT_LT(worst, 3e-7);
    // Near zero it is x / 2 to the last bit or two, so no small activation is lost.
    for (const float small : {1e-3f, -1e-3f, 1e-6f, -1e-10f, 1e-30f}) {
      const float found = activated(std::vector<float>{small}, GemmActivation::kGelu)[0];
      EXPECT_NEAR(found / testing::exact_gelu(small), 1.0, 3e-7) << small;
    }
  });
}

TEST(Activations, GeluFarOutIsZeroOrItself) {
  on_every_target([] {
    for (const float x : {6.0f, 100.0f, 1e6f, 1e30f}) {
      const std::vector<float> y = activated(std::vector<float>{x, -x}, GemmActivation::kGelu);
      EXPECT_EQ(y[0], x);
      EXPECT_NEAR(y[1], testing::exact_gelu(-x), 2e-9) << x;
    }
    EXPECT_EQ(activated(std::vector<float>{0.0f}, GemmActivation::kGelu)[0], 0.0f);
    EXPECT_TRUE(std::isnan(activated(std::vector<float>{NAN}, GemmActivation::kGelu)[0]));
  });
}

TEST(Activations, SigmoidAndItsExponential) {
  on_every_target([] {
    const std::vector<float> x = range(-86.0f, 86.0f, 400'000);
    const std::vector<float> y = activated(x, GemmActivation::kSigmoid);
    double worst = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      // Relative: on the left sigmoid is exp(x), whose every digit must be right.
      worst = std::max(worst, std::abs(y[i] / testing::exact_sigmoid(x[i]) - 1.0));
    }
    EXPECT_LT(worst, 3e-7);
    const std::vector<float> far =
        activated(std::vector<float>{-1e30f, -200.0f, 200.0f, 1e30f}, GemmActivation::kSigmoid);
    EXPECT_NEAR(far[0], 0.0f, 1e-37f);
    EXPECT_NEAR(far[1], 0.0f, 1e-37f);
    EXPECT_EQ(far[2], 1.0f);
    EXPECT_EQ(far[3], 1.0f);
  });
}

}  // namespace
}  // namespace gcvit::kernels
