// SPDX-License-Identifier: Apache-2.0
// One head's gradients against plain loops in double precision and against differences of the forward.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/attention.h"
#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::InputRows;
using testing::on_every_target;
using testing::OutputRows;
using testing::random_floats;

using Doubles = std::vector<double>;

struct Window {
  int height, width;
  int tokens() const { return height * width; }
  int offsets() const { return (2 * height - 1) * (2 * width - 1); }
  /// Where the table holds the bias of query i to key j.
  int offset(int i, int j) const {
    return (i / width - j / width + height - 1) * (2 * width - 1) + i % width - j % width + width - 1;
  }
};

/// A head with everything that its backward takes and gives.
struct Head {
  Head(const Window& window, int head_dim, int heads, int head)
      : window(window),
        head_dim(head_dim),
        heads(heads),
        head(head),
        q(window.tokens(), head_dim, 1),
        k(window.tokens(), head_dim, 2),
        v(window.tokens(), head_dim, 3),
        out_gradient(window.tokens(), head_dim, 4),
        table(random_floats(window.offsets() * heads, 5)),
        q_gradient(window.tokens(), head_dim),
        k_gradient(window.tokens(), head_dim),
        v_gradient(window.tokens(), head_dim),
        out(window.tokens(), head_dim),
        bias_gradient(1, window.offsets()) {
    std::fill_n(bias_gradient[0], window.offsets(), 0.25f);
  }

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

  /// With a scratch of exactly the size asked for, full of what would show if it were used.
  void run(bool with_bias_and_out = true) {
    const std::int64_t size = attention_backward_scratch_size(window.tokens(), head_dim);
    ASSERT_EQ(size % 16, 0);
    AlignedBuffer scratch(size);
    std::fill_n(scratch.data(), size, std::numeric_limits<float>::quiet_NaN());
    const PackedBias bias = pack_bias(table.data(), window.height, window.width, heads);
    attention_backward({.q = q.pointers(),
                        .k = k.pointers(),
                        .v = v.pointers(),
                        .out_gradient = out_gradient.pointers(),
                        .q_gradient = q_gradient.pointers(),
                        .k_gradient = k_gradient.pointers(),
                        .v_gradient = v_gradient.pointers(),
                        .out = with_bias_and_out ? out.pointers() : nullptr,
                        .bias = &bias,
                        .bias_gradient = with_bias_and_out ? bias_gradient[0] : nullptr,
                        .head = head,
                        .head_dim = head_dim,
                        .scale = scale(),
                        .scratch = scratch.data()});
    for (const OutputRows* rows : {&q_gradient, &k_gradient, &v_gradient, &out, &bias_gradient}) rows->expect_guards();
  }

  Window window;
  int head_dim, heads, head;
  InputRows q, k, v, out_gradient;
  std::vector<float> table;
  OutputRows q_gradient, k_gradient, v_gradient, out, bias_gradient;
};

/// Errors within 1e-5 of the largest number expected.
void expect_rows(const OutputRows& found, const std::vector<Doubles>& expected, const char* name) {
  double largest = 1e-3;
  for (const Doubles& row : expected) {
    for (const double value : row) largest = std::max(largest, std::abs(value));
  }
  for (std::size_t row = 0; row < expected.size(); ++row) {
    for (std::size_t c = 0; c < expected[row].size(); ++c) {
      ASSERT_NEAR(found[static_cast<int>(row)][c], expected[row][c], 1e-5 * largest)
          << name << ", row " << row << ", float " << c;
    }
  }
}

void expect_gradients(const Window& window, int head_dim, int heads, int head) {
  SCOPED_TRACE(::testing::Message() << window.height << "x" << window.width << " window, head " << head << " of "
                                    << heads << ", " << head_dim << " wide");
  Head of(window, head_dim, heads, head);
  of.run();
  const int tokens = window.tokens();
  const auto zeros = [&] {
    return std::vector<Doubles>(static_cast<std::size_t>(tokens), Doubles(static_cast<std::size_t>(head_dim), 0.0));
  };
  std::vector<Doubles> dq = zeros();
  std::vector<Doubles> dk = zeros();
  std::vector<Doubles> dv = zeros();
  std::vector<Doubles> out = zeros();
  std::vector<Doubles> dbias(1, Doubles(static_cast<std::size_t>(window.offsets()), 0.25));
  for (int i = 0; i < tokens; ++i) {
    const auto row = static_cast<std::size_t>(i);
    Doubles p;
    Doubles dp;
    for (int j = 0; j < tokens; ++j) {
      double score = of.table[static_cast<std::size_t>(window.offset(i, j) * heads + head)];
      double gradient = 0.0;
      for (int c = 0; c < head_dim; ++c) {
        score += double{of.q[i][c]} * of.k[j][c] * of.scale();
        gradient += double{of.out_gradient[i][c]} * of.v[j][c];
      }
      p.push_back(score);
      dp.push_back(gradient);
    }
    const double largest = *std::ranges::max_element(p);
    double sum = 0.0;
    for (double& value : p) sum += value = std::exp(value - largest);
    double mean = 0.0;
    for (std::size_t j = 0; j < p.size(); ++j) mean += (p[j] /= sum) * dp[j];
    for (std::size_t j = 0; j < p.size(); ++j) {
      const double ds = p[j] * (dp[j] - mean);
      const int key = static_cast<int>(j);
      dbias[0][static_cast<std::size_t>(window.offset(i, key))] += ds;
      for (std::size_t c = 0; c < static_cast<std::size_t>(head_dim); ++c) {
        dq[row][c] += of.scale() * ds * of.k[key][c];
        dk[j][c] += of.scale() * ds * of.q[i][c];
        dv[j][c] += p[j] * of.out_gradient[i][c];
        out[row][c] += p[j] * of.v[key][c];
      }
    }
  }
  expect_rows(of.q_gradient, dq, "q");
  expect_rows(of.k_gradient, dk, "k");
  expect_rows(of.v_gradient, dv, "v");
  expect_rows(of.out, out, "out");
  expect_rows(of.bias_gradient, dbias, "bias");
}

TEST(AttentionBackward, EveryHeadWidth) {
  on_every_target([] {
    for (int head_dim = 1; head_dim <= 40; ++head_dim) {
      expect_gradients({2, 3}, head_dim, 2, 1);
      expect_gradients({5, 4}, head_dim, 1, 0);
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(AttentionBackward, EveryFormOfWindow) {
  on_every_target([] {
    for (int height = 1; height <= 5; ++height) {
      for (int width = 1; width <= 9; ++width) expect_gradients({height, width}, 8, 3, 2);
    }
    for (const Window& window : {Window{7, 7}, Window{14, 14}, Window{1, 33}, Window{33, 1}, Window{3, 18}}) {
      for (const int head_dim : {1, 4, 8, 15, 32}) expect_gradients(window, head_dim, 2, 1);
    }
  });
}

/// The loss sum(out * out_gradient) of the forward, with q, k, v and the bias moved by `step` along random directions
/// when asked for; `along` adds up what `head`'s gradients say of those directions.
double loss_at(const Head& head, const bool (&moves)[4], float step, double& along) {
  const int tokens = head.window.tokens();
  const int head_dim = head.head_dim;
  along = 0.0;
  std::vector<std::vector<float>> inputs[3];
  std::vector<const float*> pointers[3];
  const InputRows* const from[3] = {&head.q, &head.k, &head.v};
  const OutputRows* const gradients[3] = {&head.q_gradient, &head.k_gradient, &head.v_gradient};
  for (int input = 0; input < 3; ++input) {
    const InputRows direction(tokens, head_dim, 20 + static_cast<unsigned>(input));
    for (int t = 0; t < tokens; ++t) {
      inputs[input].emplace_back();
      for (int c = 0; c < head_dim; ++c) {
        inputs[input].back().push_back((*from[input])[t][c] + (moves[input] ? step * direction[t][c] : 0.0f));
        if (moves[input]) along += double{direction[t][c]} * (*gradients[input])[t][c];
      }
      pointers[input].push_back(inputs[input].back().data());
    }
  }
  std::vector<float> table = head.table;
  const std::vector<float> direction = random_floats(head.window.offsets(), 23);
  for (int i = 0; moves[3] && i < head.window.offsets(); ++i) {
    table[static_cast<std::size_t>(i)] += step * direction[static_cast<std::size_t>(i)];
    along += double{direction[static_cast<std::size_t>(i)]} * (head.bias_gradient[0][i] - 0.25);
  }
  const PackedBias bias = pack_bias(table.data(), head.window.height, head.window.width, 1);
  const OutputRows out(tokens, head_dim);
  AlignedBuffer scratch(attention_scratch_size(tokens, head_dim));
  attention({.q = pointers[0].data(),
             .k = pointers[1].data(),
             .v = pointers[2].data(),
             .out = out.pointers(),
             .bias = &bias,
             .head = 0,
             .head_dim = head_dim,
             .scale = head.scale(),
             .scratch = scratch.data()});
  double loss = 0.0;
  for (int t = 0; t < tokens; ++t) {
    for (int c = 0; c < head_dim; ++c) loss += double{out[t][c]} * head.out_gradient[t][c];
  }
  return loss;
}

TEST(AttentionBackward, IsTheSlopeOfItsForward) {
  on_every_target([] {
    for (const Window& window : {Window{1, 1}, Window{2, 3}, Window{3, 2}, Window{7, 7}, Window{14, 14}}) {
      for (const int head_dim : {1, 4, 8, 15, 32}) {
        Head head(window, head_dim, 1, 0);
        head.run();
        for (int moved = 0; moved < 4; ++moved) {
          bool moves[4] = {};
          moves[moved] = true;
          constexpr float kStep = 0.004f;
          double along = 0.0;
          const double below = loss_at(head, moves, -kStep, along);
          const double above = loss_at(head, moves, kStep, along);
          const double scale = std::sqrt(window.tokens() * head_dim);
          EXPECT_NEAR((above - below) / (2.0 * kStep), along, 1e-3 * scale)
              << "input " << moved << " of a " << window.height << "x" << window.width << " window, " << head_dim
              << " wide";
        }
      }
    }
  });
}

TEST(AttentionBackward, DoesNotDependOnWhatElseIsAskedFor) {
  on_every_target([] {
    Head with({3, 5}, 12, 2, 0);
    Head without({3, 5}, 12, 2, 0);
    with.run();
    without.run(false);
    for (int t = 0; t < 15; ++t) {
      EXPECT_EQ(std::memcmp(with.q_gradient[t], without.q_gradient[t], 12 * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(with.k_gradient[t], without.k_gradient[t], 12 * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(with.v_gradient[t], without.v_gradient[t], 12 * sizeof(float)), 0);
    }
    for (int i = 0; i < without.window.offsets(); ++i) EXPECT_EQ(without.bias_gradient[0][i], 0.25f);
    EXPECT_TRUE(OutputRows::is_guard(without.out[0][0]));
  });
}

}  // namespace
}  // namespace gcvit::kernels
