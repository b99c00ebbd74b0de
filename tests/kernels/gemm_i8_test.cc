// SPDX-License-Identifier: Apache-2.0
// The dense product with int8 weights against plain integer sums: every row count, column tail, depth and end, on every
// target, with the blocks of quads emulated too.
#include "kernels/gemm_i8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/i8_quads.h"
#include "tests/kernels/every_target.h"
#include "tests/testing/error_of.h"

#define GCVIT_I8_QUADS_NAMESPACE emulated
#define GCVIT_I8_QUADS_ATTRIBUTES
#define GCVIT_I8_QUADS_INLINE inline
#include "kernels/i8_quads-inl.h"

namespace gcvit::kernels {
namespace {

using gcvit::testing::error_of;
using testing::InputRows;
using testing::kRounding;
using testing::on_every_target;
using testing::OutputRows;
using testing::random_floats;

/// vpdpbusd on `L` lanes, a lane and a byte at a time.
template <int L>
struct EmulatedQuads {
  static constexpr int kLanes = L;
  struct Vec {
    std::int32_t lanes[L];
  };
  static Vec load(const void* from) {
    Vec vec;
    std::memcpy(vec.lanes, from, sizeof vec.lanes);
    return vec;
  }
  static Vec set(std::int32_t word) {
    Vec vec;
    std::fill_n(vec.lanes, L, word);
    return vec;
  }
  static void store(const Vec& vec, std::int32_t* to) { std::memcpy(to, vec.lanes, sizeof vec.lanes); }
  static Vec multiply_add(Vec sums, const Vec& a, const Vec& b) {
    for (int lane = 0; lane < L; ++lane) {
      for (int byte = 0; byte < 4; ++byte) {
        const auto from_a = static_cast<std::uint8_t>(static_cast<std::uint32_t>(a.lanes[lane]) >> (8 * byte));
        const auto from_b = static_cast<std::int8_t>(static_cast<std::uint32_t>(b.lanes[lane]) >> (8 * byte));
        sums.lanes[lane] += from_a * from_b;
      }
    }
    return sums;
  }

  struct Float {
    float lanes[L];
  };
  static Float to_float(const Vec& integers) {
    return each([&](int lane) { return static_cast<float>(integers.lanes[lane]); });
  }
  static Float load_float(const float* from) {
    return each([&](int lane) { return from[lane]; });
  }
  static Float set_float(float value) {
    return each([&](int) { return value; });
  }
  static void store_float(const Float& floats, float* to) { std::copy_n(floats.lanes, L, to); }
  static Float multiply(const Float& a, const Float& b) {
    return each([&](int lane) { return a.lanes[lane] * b.lanes[lane]; });
  }
  static Float multiply_add_float(const Float& a, const Float& b, const Float& c) {
    return each([&](int lane) { return std::fma(a.lanes[lane], b.lanes[lane], c.lanes[lane]); });
  }
  template <typename Lane>
  static Float each(const Lane& value) {
    Float floats;
    for (int lane = 0; lane < L; ++lane) floats.lanes[lane] = value(lane);
    return floats;
  }
};

I8Block emulated_block(std::int32_t lanes, std::int32_t rows, std::int32_t vectors) {
  switch (lanes) {
    case 1: return emulated::quads_block<EmulatedQuads<1>, 12>(rows, vectors);
    case 4: return emulated::quads_block<EmulatedQuads<4>, 12>(rows, vectors);
    case 8: return emulated::quads_block<EmulatedQuads<8>, 12>(rows, vectors);
    case 16: return emulated::quads_block<EmulatedQuads<16>, 12>(rows, vectors);
    default: return nullptr;
  }
}

I8Block no_block(std::int32_t, std::int32_t, std::int32_t) { return nullptr; }

/// Calls `body()` under each target: as this CPU does it, without quads and with emulated ones.
template <typename Body>
void in_every_i8_form(const Body& body) {
  on_every_target([&] {
    body();
    {
      SCOPED_TRACE("emulated quads");
      replace_i8_quads(emulated_block);
      body();
    }
    replace_i8_quads(nullptr);
    if (!has_i8_quads(panel_width() / 2)) return;
    SCOPED_TRACE("without quads");
    replace_i8_quads(no_block);
    body();
    replace_i8_quads(nullptr);
  });
}

std::vector<std::int8_t> random_weights(std::int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> uniform(-127, 127);
  std::vector<std::int8_t> q(static_cast<std::size_t>(count));
  for (std::int8_t& value : q) value = static_cast<std::int8_t>(uniform(generator));
  return q;
}

/// What a row is rounded to, plainly.
struct RoundedRow {
  std::vector<int> q;
  float scale = 1.0f;
};

RoundedRow rounded_row(const std::vector<float>& row) {
  float most = 0.0f;
  for (const float value : row) most = std::max(most, std::abs(value));
  RoundedRow rounded;
  if (most > 0.0f) rounded.scale = most / 127.0f;
  for (const float value : row) {
    rounded.q.push_back(most > 0.0f ? static_cast<int>(std::nearbyint(value * (127.0f / most))) : 0);
  }
  return rounded;
}

enum class End { kPlain, kGelu, kSigmoid, kResidual, kGamma };
constexpr End kEnds[] = {End::kPlain, End::kGelu, End::kSigmoid, End::kResidual, End::kGamma};

struct Problem {
  int rows, columns, taps, k;
  bool with_bias = true;
  End end = End::kPlain;
};

/// A problem's operands, made once and run as a whole or in pieces.
class Product {
 public:
  explicit Product(const Problem& problem)
      : problem_(problem),
        a_(problem.rows * problem.taps, problem.k, 1),
        residual_(problem.rows, problem.columns, 2),
        q_(random_weights(std::int64_t{problem.columns} * problem.taps * problem.k, 3)),
        scales_(random_floats(problem.columns, 4, 0.01f)),
        bias_(random_floats(problem.columns, 5)),
        gamma_(random_floats(problem.columns, 6)),
        packed_(pack_i8_weights(q_.data(), scales_.data(), problem.with_bias ? bias_.data() : nullptr, problem.columns,
                                problem.taps, problem.k)) {}

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

  void expect_row(const float* found, int row) const {
    std::vector<float> a;
    for (int tap = 0; tap < problem_.taps; ++tap) {
      const float* piece = a_[tap * problem_.rows + row];
      a.insert(a.end(), piece, piece + problem_.k);
    }
    const RoundedRow rounded = rounded_row(a);
    for (int column = 0; column < problem_.columns; ++column) {
      const auto j = static_cast<std::size_t>(column);
      std::int64_t sum = 0;
      for (std::size_t i = 0; i < a.size(); ++i) sum += rounded.q[i] * std::int64_t{q_[j * a.size() + i]};
      expect(found[column], static_cast<double>(sum) * rounded.scale * scales_[j], row, column);
    }
  }

 private:
  /// `product` is exact; the scales' product, its product with the sum and each addition round once.
  void expect(float found, double product, int row, int column) const {
    const auto j = static_cast<std::size_t>(column);
    const double bias = problem_.with_bias ? bias_[j] : 0.0;
    const double sum = product + bias;
    double tolerance = 1.2 * kRounding * (4 * std::abs(product) + std::abs(sum));
    double expected = sum;
    switch (problem_.end) {
      case End::kPlain: break;
      case End::kGelu:
        expected = testing::exact_gelu(sum);
        tolerance += 3e-7 * std::max(1.0, std::abs(sum));
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

  Problem problem_;
  InputRows a_;
  InputRows residual_;
  std::vector<std::int8_t> q_;
  std::vector<float> scales_;
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
  for (int row = 0; row < problem.rows; ++row) product.expect_row(c[row], row);
  c.expect_guards();
}

TEST(GemmI8, EveryRowCountAndColumnTail) {
  in_every_i8_form([] {
    for (int rows = 1; rows <= 13; ++rows) {
      for (int columns = 1; columns <= 3 * panel_width(); ++columns) {
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

TEST(GemmI8, EveryDepthAndTapCount) {
  in_every_i8_form([] {
    for (int k = 1; k <= 70; ++k) {
      for (const int taps : {1, 3, 9}) {
        for (const int columns : {3, panel_width()}) {
          expect_product({.rows = 4, .columns = columns, .taps = taps, .k = k, .end = kEnds[k % 5]});
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
    expect_product({.rows = 3, .columns = 2 * panel_width() - 1, .taps = 3, .k = 1021});
  });
}

TEST(GemmI8, EveryEndOnManyRows) {
  in_every_i8_form([] {
    for (const End end : kEnds) {
      for (const bool with_bias : {false, true}) {
        expect_product(
            {.rows = 50, .columns = 3 * panel_width() - 1, .taps = 1, .k = 96, .with_bias = with_bias, .end = end});
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

/// One row times one column, both of integers, whose largest magnitude in the row is 127: its scale is 1.
float integer_product(const std::vector<float>& a, const std::vector<std::int8_t>& q) {
  const float one = 1.0f;
  const PackedWeights packed = pack_i8_weights(q.data(), &one, nullptr, 1, 1, static_cast<std::int32_t>(q.size()));
  const float* row = a.data();
  float sum = 0.0f;
  float* c = &sum;
  gemm(packed, {.a = &row, .c = &c, .count = 1}, {}, 0, 1);
  return sum;
}

TEST(GemmI8, SumsNeverSaturate) {
  in_every_i8_form([] {
    for (const std::size_t k : {std::size_t{2}, std::size_t{4}, std::size_t{1000}, std::size_t{1} << 16}) {
      for (const float a : {-127.0f, 127.0f}) {
        for (const int q : {-127, 127}) {
          const std::vector<float> row(k, a);
          const std::vector<std::int8_t> column(k, static_cast<std::int8_t>(q));
          EXPECT_EQ(integer_product(row, column), a * static_cast<float>(q) * static_cast<float>(k));
        }
      }
    }
  });
}

TEST(GemmI8, RoundsToTheNearestTiesToEven) {
  in_every_i8_form([] {
    const std::vector<std::int8_t> ones(20, 1);
    const std::pair<float, float> kRounded[] = {{0.5f, 0},      {1.5f, 2},     {2.5f, 2},       {-0.5f, 0}, {-1.5f, -2},
                                                {-2.5f, -2},    {126.5f, 126}, {0.499f, 0},     {-0.0f, 0}, {0.501f, 1},
                                                {100.25f, 100}, {-63.5f, -64}, {0.49999997f, 0}};
    for (const auto& [value, expected] : kRounded) {
      for (std::size_t at = 0; at < 19; ++at) {
        std::vector<float> row(20, 0.0f);
        row[19] = 127.0f;
        row[at] = value;
        EXPECT_EQ(integer_product(row, ones), 127.0f + expected) << value << " at " << at;
      }
    }
  });
}

TEST(GemmI8, RowsOfZerosGiveTheBias) {
  in_every_i8_form([] {
    for (const float value : {0.0f, -0.0f, 1e-31f, -1e-38f, 1e-45f}) {
      for (const int k : {1, 7, 40}) {
        const std::vector<float> a(static_cast<std::size_t>(k), value);
        const std::vector<std::int8_t> q = random_weights(3 * k, 1);
        const std::vector<float> scales(3, 0.5f);
        const std::vector<float> bias = {1.0f, -2.0f, 3e-30f};
        const PackedWeights packed = pack_i8_weights(q.data(), scales.data(), bias.data(), 3, 1, k);
        const float* row = a.data();
        const OutputRows c(1, 3);
        gemm(packed, {.a = &row, .c = c.pointers(), .count = 1}, {}, 0, panel_count(3));
        for (int j = 0; j < 3; ++j) EXPECT_EQ(c[0][j], bias[static_cast<std::size_t>(j)]);
      }
    }
  });
}

/// The largest and the smallest rows that are rounded: their scales are finite and normal.
TEST(GemmI8, RowsOfAnyMagnitude) {
  in_every_i8_form([] {
    for (const float magnitude : {1e-30f, 1e-10f, 1e10f, 2e36f}) {
      std::vector<float> a(9, magnitude);
      a[4] = -magnitude;
      const std::vector<std::int8_t> q = {1, 2, 3, 4, 5, 6, 7, 8, 127};
      EXPECT_NEAR(integer_product(a, q) / magnitude, 153.0, 1e-4) << magnitude;
    }
  });
}

TEST(GemmI8, ARowThatIsNotFiniteIsNaNInEveryColumn) {
  in_every_i8_form([] {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
      for (const int k : {1, 6, 21, 50}) {
        for (int at = 0; at < 3 * k; at += 1 + k / 5) {
          const int columns = panel_width() + 3;
          std::vector<std::vector<float>> a(6,
                                            std::vector<float>(static_cast<std::size_t>(k), 1.0f));  // 3 taps, 2 rows
          a[static_cast<std::size_t>(at / k * 2 + 1)][static_cast<std::size_t>(at % k)] = bad;
          std::vector<const float*> rows;
          for (const std::vector<float>& row : a) rows.push_back(row.data());
          const std::vector<std::int8_t> q(static_cast<std::size_t>(3 * k * columns), 0);
          const std::vector<float> scales(static_cast<std::size_t>(columns), 1.0f);
          const std::vector<float> gamma(static_cast<std::size_t>(columns), 0.0f);
          const PackedWeights packed = pack_i8_weights(q.data(), scales.data(), nullptr, columns, 3, k);
          for (const End end : kEnds) {
            const OutputRows c(2, columns);
            for (int row = 0; row < 2; ++row) std::fill_n(c[row], columns, 1.0f);
            const bool added = end == End::kResidual || end == End::kGamma;
            gemm(packed, {.a = rows.data(), .c = c.pointers(), .residual = added ? c.pointers() : nullptr, .count = 2},
                 {.activation = end == End::kGelu      ? GemmActivation::kGelu
                                : end == End::kSigmoid ? GemmActivation::kSigmoid
                                                       : GemmActivation::kNone,
                  .gamma = end == End::kGamma ? gamma.data() : nullptr},
                 0, panel_count(columns));
            for (int column = 0; column < columns; ++column) {
              ASSERT_TRUE(std::isfinite(c[0][column]));
              ASSERT_TRUE(std::isnan(c[1][column])) << "end " << static_cast<int>(end) << " column " << column;
            }
          }
        }
      }
    }
  });
}

TEST(GemmI8, NoRowsOrNoPanelsDoNothing) {
  in_every_i8_form([] {
    const Product product({.rows = 2, .columns = 5, .taps = 1, .k = 3});
    const OutputRows c(2, 5);
    product.run(c.pointers(), 0, 0, 0, 1);
    product.run(c.pointers(), 0, 2, 1, 1);
    for (int column = 0; column < 5; ++column) EXPECT_TRUE(OutputRows::is_guard(c[1][column]));
    c.expect_guards();
  });
}

TEST(GemmI8, SameBitsWhateverRowsAndPanelsAreComputedTogether) {
  in_every_i8_form([] {
    const int width = panel_width();
    for (const End end : kEnds) {
      const Problem problem{.rows = 15, .columns = 2 * width + 3, .taps = 3, .k = 33, .end = end};
      const Product product(problem);
      const OutputRows whole(problem.rows, problem.columns);
      const int panels = panel_count(problem.columns);
      product.run(whole.pointers(), 0, problem.rows, 0, panels);
      for (int count = 1; count < problem.rows; ++count) {
        for (int p = 0; p < panels; ++p) {
          const int columns = std::min(width, problem.columns - p * width);
          const OutputRows pieces(problem.rows, columns);
          for (int first = 0; first < problem.rows; first += count) {
            product.run(pieces.pointers() + first, first, std::min(count, problem.rows - first), p, p + 1, p * width);
          }
          for (int r = 0; r < problem.rows; ++r) {
            const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(columns);
            ASSERT_EQ(std::memcmp(pieces[r], whole[r] + p * width, bytes), 0)
                << "row " << r << " in pieces of " << count;
          }
          pieces.expect_guards();
        }
      }
    }
  });
}

/// An element is the same, but for the last rounding, in every form: the integers behind it are equal.
TEST(GemmI8, EveryFormHasTheSameSums) {
  const std::vector<float> a = random_floats(333, 1);
  const std::vector<std::int8_t> q = random_weights(333, 2);
  const float scale = 1.0f;
  std::vector<float> found;
  in_every_i8_form([&] {
    const PackedWeights packed = pack_i8_weights(q.data(), &scale, nullptr, 1, 3, 111);
    const float* rows[] = {a.data(), a.data() + 111, a.data() + 222};
    float sum = 0.0f;
    float* c = &sum;
    gemm(packed, {.a = rows, .c = &c, .count = 1}, {}, 0, 1);  // sum * scale + 0: one rounding on every target
    found.push_back(sum);
  });
  for (const float sum : found) EXPECT_EQ(sum, found.front());
}

TEST(PackI8Weights, CanBeTakenBackAndTakesAQuarter) {
  in_every_i8_form([] {
    for (const int taps : {1, 3}) {
      for (const int k : {1, 2, 3, 5, 64}) {
        for (const int columns : {1, panel_width() / 2 + 1, 2 * panel_width() + 1}) {
          const std::vector<std::int8_t> q = random_weights(std::int64_t{columns} * taps * k, 7);
          const std::vector<float> scales = random_floats(columns, 8);
          PackedWeights packed = pack_i8_weights(q.data(), scales.data(), nullptr, columns, taps, k);
          std::vector<std::int8_t> back(q.size(), 55);
          unpack_i8_weights(packed, back.data());
          ASSERT_EQ(back, q);
          ASSERT_TRUE(std::equal(scales.begin(), scales.end(), packed.scales.data()));
          // Other weights of the same sizes go where those were.
          const float* const before = packed.panels.data();
          const std::vector<std::int8_t> others = random_weights(std::int64_t{columns} * taps * k, 9);
          allocate_i8(scales.data(), nullptr, columns, taps, k, packed);
          for (int p = panel_count(columns); p-- > 0;) pack_i8_panels(others.data(), packed, p, p + 1);
          ASSERT_EQ(packed.panels.data(), before);
          unpack_i8_weights(packed, back.data());
          ASSERT_EQ(back, others);
        }
      }
    }
    const int columns = 4 * panel_width();
    const std::vector<std::int8_t> q = random_weights(std::int64_t{columns} * 512, 7);
    const std::vector<float> scales(static_cast<std::size_t>(columns), 1.0f);
    const PackedWeights packed = pack_i8_weights(q.data(), scales.data(), nullptr, columns, 1, 512);
    EXPECT_LE(packed.panels.size(), columns * 512 / 4 + columns);
  });
}

TEST(PackI8Weights, RefusesDepthsWhoseSumsCouldOverflow) {
  PackedWeights packed;
  EXPECT_EQ(error_of([&] { allocate_i8(nullptr, nullptr, 1, 3, 30000, packed); }),
            "[native] int8 weights: expected at most 65536 inputs a column, found 90000");
}

}  // namespace
}  // namespace gcvit::kernels
