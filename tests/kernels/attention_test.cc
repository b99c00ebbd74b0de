// SPDX-License-Identifier: Apache-2.0
// One head's attention against plain loops in double precision: windows of every form, every head width.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::InputRows;
using testing::on_every_target;
using testing::OutputRows;
using testing::random_floats;

struct Window {
  int height, width;
  int tokens() const { return height * width; }
};

/// Runs one head with a scratch of exactly the size asked for, full of what would show if it were used.
void run(const Window& window, const InputRows& q, const InputRows& k, const InputRows& v, const PackedBias& bias,
         int head, int head_dim, const OutputRows& out, Precision precision = Precision::kF32) {
  const std::int64_t size = attention_scratch_size(window.tokens(), head_dim);
  ASSERT_EQ(size % 16, 0);
  AlignedBuffer scratch(size);
  std::fill_n(scratch.data(), size, std::numeric_limits<float>::quiet_NaN());
  attention({.q = q.pointers(),
             .k = k.pointers(),
             .v = v.pointers(),
             .out = out.pointers(),
             .bias = &bias,
             .head = head,
             .head_dim = head_dim,
             .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
             .scratch = scratch.data(),
             .precision = precision});
}

/// Rows of multiples of a quarter, which are themselves in bfloat16.
InputRows quarters(int count, int width, unsigned seed) {
  InputRows rows(count, width, seed);
  for (int row = 0; row < count; ++row) {
    for (int i = 0; i < width; ++i)
      rows.set(row, i, std::clamp(std::nearbyint(rows[row][i] * 4.0f), -16.0f, 16.0f) / 4.0f);
  }
  return rows;
}

/// Against the plain loops; the error may be `tolerance` times the sum of the terms' magnitudes.
void expect_close(const Window& window, const InputRows& q, const InputRows& k, const InputRows& v,
                  const std::vector<float>& table, int head_dim, int heads, int head, const OutputRows& out,
                  double tolerance) {
  const int tokens = window.tokens();
  const int columns = 2 * window.width - 1;
  for (int i = 0; i < tokens; ++i) {
    std::vector<double> scores;
    for (int j = 0; j < tokens; ++j) {
      double score = 0.0;
      for (int c = 0; c < head_dim; ++c) score += double{q[i][c]} * k[j][c] / std::sqrt(head_dim);
      const int dy = i / window.width - j / window.width + window.height - 1;
      const int dx = i % window.width - j % window.width + window.width - 1;
      scores.push_back(score + table[static_cast<std::size_t>((dy * columns + dx) * heads + head)]);
    }
    const double largest = *std::ranges::max_element(scores);
    double sum = 0.0;
    for (double& score : scores) sum += score = std::exp(score - largest);
    for (int c = 0; c < head_dim; ++c) {
      double expected = 0.0;
      double magnitude = 0.0;
      for (int j = 0; j < tokens; ++j) {
        const double term = scores[static_cast<std::size_t>(j)] / sum * v[j][c];
        expected += term;
        magnitude += std::abs(term);
      }
      ASSERT_NEAR(out[i][c], expected, tolerance * magnitude + 1e-30) << "token " << i << " channel " << c;
    }
  }
}

void expect_attention(const Window& window, int head_dim, int heads, int head, float bias_scale = 1.0f) {
  SCOPED_TRACE(::testing::Message() << window.height << "x" << window.width << " window, head " << head << " of "
                                    << heads << ", " << head_dim << " wide");
  const int tokens = window.tokens();
  const InputRows q(tokens, head_dim, 1);
  const InputRows k(tokens, head_dim, 2);
  const InputRows v(tokens, head_dim, 3);
  const int columns = 2 * window.width - 1;
  const std::vector<float> table = random_floats((2 * window.height - 1) * columns * heads, 4, bias_scale);
  const PackedBias bias = pack_bias(table.data(), window.height, window.width, heads);
  const OutputRows out(tokens, head_dim);
  run(window, q, k, v, bias, head, head_dim, out);
  // A score's error, a few roundings of its size, is the numerators' relative error.
  expect_close(window, q, k, v, table, head_dim, heads, head, out, 4e-6 * bias_scale);
  out.expect_guards();
}

TEST(Attention, EveryHeadWidth) {
  on_every_target([] {
    for (int head_dim = 1; head_dim <= 40; ++head_dim) {
      expect_attention({2, 3}, head_dim, 2, 1);
      expect_attention({3, 3}, head_dim, 1, 0);
      expect_attention({5, 4}, head_dim, 1, 0);
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(Attention, EveryFormOfWindow) {
  on_every_target([] {
    for (int height = 1; height <= 7; ++height) {
      for (int width = 1; width <= 9; ++width) expect_attention({height, width}, 8, 3, 2);
    }
    for (const Window& window :
         {Window{7, 7}, Window{14, 14}, Window{12, 12}, Window{1, 17}, Window{1, 33}, Window{33, 1}, Window{16, 16}}) {
      expect_attention(window, 32, 2, 1);
    }
  });
}

TEST(Attention, PairsOfBf16RoundWhatIsMultiplied) {
  on_every_target([] {
    constexpr int kHeads = 2;
    for (const Window& window : {Window{1, 1}, Window{1, 2}, Window{3, 5}, Window{4, 4}, Window{1, 17}, Window{3, 11},
                                 Window{7, 7}, Window{5, 13}, Window{12, 12}, Window{14, 14}}) {
      for (const int head_dim : {16, 32, 64}) {
        SCOPED_TRACE(::testing::Message() << window.height << "x" << window.width << ", " << head_dim << " wide");
        const int tokens = window.tokens();
        const std::vector<float> table = random_floats((2 * window.height - 1) * (2 * window.width - 1) * kHeads, 4);
        const PackedBias bias = pack_bias(table.data(), window.height, window.width, kHeads);
        const OutputRows out(tokens, head_dim);
        // Where operands and scale (1/8, 1/4) are bfloat16 already, the numerators alone are rounded.
        if (head_dim != 32) {
          const InputRows q = quarters(tokens, head_dim, 1);
          const InputRows k = quarters(tokens, head_dim, 2);
          const InputRows v = quarters(tokens, head_dim, 3);
          run(window, q, k, v, bias, 1, head_dim, out, Precision::kBf16);
          expect_close(window, q, k, v, table, head_dim, kHeads, 1, out, 1.0 / 256);
        }
        const InputRows q(tokens, head_dim, 1);
        const InputRows k(tokens, head_dim, 2);
        const InputRows v(tokens, head_dim, 3);
        run(window, q, k, v, bias, 1, head_dim, out, Precision::kBf16);
        expect_close(window, q, k, v, table, head_dim, kHeads, 1, out, 0.03);
        out.expect_guards();
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST(Attention, ScoresFarApart) {
  // Differences of hundreds: numerators underflow, the result is the winner's value.
  on_every_target([] {
    expect_attention({3, 3}, 16, 2, 0, 100.0f);
    expect_attention({7, 7}, 16, 2, 1, 400.0f);
  });
}

TEST(Attention, QueriesMayBeAnotherMapsRows) {
  // As global attention does: q lies elsewhere and is wider than a head.
  on_every_target([] {
    const std::vector<float> table(9, 0.0f);
    const PackedBias bias = pack_bias(table.data(), 2, 2, 1);
    std::vector<float> query(64, 0.0f);  // all scores equal: the mean of the values
    const InputRows k(4, 5, 2);
    const InputRows v(4, 5, 3);
    std::vector<const float*> q;
    for (int t = 0; t < 4; ++t) q.push_back(query.data() + 16 * t + 3);
    const OutputRows out(4, 5);
    AlignedBuffer scratch(attention_scratch_size(4, 5));
    attention({.q = q.data(),
               .k = k.pointers(),
               .v = v.pointers(),
               .out = out.pointers(),
               .bias = &bias,
               .head = 0,
               .head_dim = 5,
               .scale = 1.0f,
               .scratch = scratch.data()});
    for (int t = 0; t < 4; ++t) {
      for (int c = 0; c < 5; ++c) EXPECT_NEAR(out[t][c], (v[0][c] + v[1][c] + v[2][c] + v[3][c]) / 4, 1e-6);
    }
  });
}

TEST(PackBias, ReversesEveryRow) {
  // 2x3 windows have 3x5 offsets; head 1 of 2.
  std::vector<float> table;
  for (int i = 0; i < 15; ++i) table.insert(table.end(), {static_cast<float>(i), static_cast<float>(100 + i)});
  const PackedBias packed = pack_bias(table.data(), 2, 3, 2);
  EXPECT_EQ(packed.window_height, 2);
  EXPECT_EQ(packed.window_width, 3);
  const float* head = packed.tables.data() + packed.head_stride;
  EXPECT_EQ(std::vector<float>(head, head + 5), (std::vector<float>{104, 103, 102, 101, 100}));
  EXPECT_EQ(std::vector<float>(head + 10, head + 15), (std::vector<float>{114, 113, 112, 111, 110}));
}

}  // namespace
}  // namespace gcvit::kernels
