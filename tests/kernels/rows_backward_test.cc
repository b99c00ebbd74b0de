// SPDX-License-Identifier: Apache-2.0
// The backward kernels over rows and positions against plain loops, at every width up to several vectors and a tail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/rows.h"
#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::InputRows;
using testing::on_every_target;
using testing::OutputRows;

constexpr int kWidest = 70;  ///< channels: two of the widest vectors and more

int next_width(int channels) { return channels + (channels < 34 ? 1 : 12); }

/// Output rows that start as `x`: what a kernel adds to.
OutputRows copies(const InputRows& x, int count, int width) {
  OutputRows rows(count, width);
  for (int row = 0; row < count; ++row) std::copy_n(x[row], width, rows[row]);
  return rows;
}

TEST(LayerNormBackward, EveryWidth) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; ++channels) {
      const int count = 1 + channels % 4;
      const InputRows x(count, channels, 1);
      const InputRows dy(count, channels, 2);
      const InputRows weight(1, channels, 3);
      const InputRows before(count, channels, 4);
      const InputRows before_parameters(2, channels, 5);
      const OutputRows dx = copies(before, count, channels);
      const OutputRows frozen = copies(before, count, channels);
      const OutputRows parameters = copies(before_parameters, 2, channels);
      layer_norm_backward(x.pointers(), dy.pointers(), count, channels, weight[0], 1e-2f, dx.pointers(), parameters[0],
                          parameters[1]);
      layer_norm_backward(x.pointers(), dy.pointers(), count, channels, weight[0], 1e-2f, frozen.pointers(), nullptr,
                          nullptr);
      std::vector<double> dweight(before_parameters[0], before_parameters[0] + channels);
      std::vector<double> dbias(before_parameters[1], before_parameters[1] + channels);
      for (int row = 0; row < count; ++row) {
        double mean = 0.0;
        double variance = 0.0;
        for (int c = 0; c < channels; ++c) mean += double{x[row][c]} / channels;
        for (int c = 0; c < channels; ++c) variance += std::pow(x[row][c] - mean, 2) / channels;
        const double deviation = std::sqrt(variance + 1e-2);
        double sum = 0.0;
        double product = 0.0;
        for (int c = 0; c < channels; ++c) {
          const double g = double{dy[row][c]} * weight[0][c];
          sum += g / channels;
          product += g * (x[row][c] - mean) / deviation / channels;
          dweight[static_cast<std::size_t>(c)] += dy[row][c] * (x[row][c] - mean) / deviation;
          dbias[static_cast<std::size_t>(c)] += dy[row][c];
        }
        for (int c = 0; c < channels; ++c) {
          const double g = double{dy[row][c]} * weight[0][c];
          const double z = (x[row][c] - mean) / deviation;
          const double expected = before[row][c] + (g - sum - z * product) / deviation;
          // One channel has no deviation: epsilon alone divides the rounding errors.
          ASSERT_NEAR(dx[row][c], expected, 1e-5 * (1 + std::abs(expected))) << channels << " channels";
        }
        ASSERT_EQ(std::memcmp(dx[row], frozen[row], static_cast<std::size_t>(channels) * sizeof(float)), 0);
      }
      for (int c = 0; c < channels; ++c) {
        ASSERT_NEAR(parameters[0][c], dweight[static_cast<std::size_t>(c)], 1e-5) << channels << " channels";
        ASSERT_NEAR(parameters[1][c], dbias[static_cast<std::size_t>(c)], 1e-5) << channels << " channels";
      }
      dx.expect_guards();
      frozen.expect_guards();
      parameters.expect_guards();
    }
  });
}

TEST(LayerNormBackward, IsTheSlopeOfItsForward) {
  on_every_target([] {
    constexpr int kChannels = 19;
    const InputRows x(1, kChannels, 6);
    const InputRows dy(1, kChannels, 7);
    const InputRows parameters(2, kChannels, 8);
    const OutputRows dx(1, kChannels);
    std::fill_n(dx[0], kChannels, 0.0f);
    layer_norm_backward(x.pointers(), dy.pointers(), 1, kChannels, parameters[0], 1e-5f, dx.pointers(), nullptr,
                        nullptr);
    for (int moved = 0; moved < kChannels; ++moved) {
      double loss[2] = {};
      for (const int side : {0, 1}) {
        std::vector<float> input(x[0], x[0] + kChannels);
        input[static_cast<std::size_t>(moved)] += side == 0 ? -0.01f : 0.01f;
        std::vector<float> y(kChannels);
        const float* from = input.data();
        float* to = y.data();
        layer_norm(&from, 1, kChannels, parameters[0], parameters[1], 1e-5f, &to);
        for (int c = 0; c < kChannels; ++c) loss[side] += double{y[static_cast<std::size_t>(c)]} * dy[0][c];
      }
      EXPECT_NEAR(dx[0][moved], (loss[1] - loss[0]) / 0.02, 2e-3) << "channel " << moved;
    }
  });
}

TEST(GeluBackward, OfEveryLengthAndSize) {
  on_every_target([] {
    for (int count = 0; count <= kWidest; ++count) {
      const InputRows x(1, count, 9);
      const InputRows dy(1, count, 10);
      const OutputRows y(1, count);
      const OutputRows dx(1, count);
      const OutputRows in_place = copies(dy, 1, count);
      gelu_forward(x[0], count, y[0]);
      gelu_backward(x[0], dy[0], count, dx[0]);
      gelu_backward(x[0], in_place[0], count, in_place[0]);
      for (int i = 0; i < count; ++i) {
        const double at = x[0][i];
        const double slope = std::erfc(-at / std::sqrt(2.0)) / 2 + at * std::exp(-at * at / 2) / std::sqrt(2 * M_PI);
        ASSERT_NEAR(y[0][i], testing::exact_gelu(at), 1e-6 * (1 + std::abs(at)));
        ASSERT_NEAR(dx[0][i], slope * dy[0][i], 1e-6 * (1 + std::abs(dy[0][i])));
        ASSERT_EQ(in_place[0][i], dx[0][i]);
      }
      y.expect_guards();
      dx.expect_guards();
    }
    // From one tail to the other: 0 there, 1 here, below 0 between.
    for (float at = -20.0f; at <= 20.0f; at += 0.03125f) {
      const float one = 1.0f;
      float slope = 0.0f;
      gelu_backward(&at, &one, 1, &slope);
      const double exact = std::erfc(-at / std::sqrt(2.0)) / 2 + at * std::exp(-at * at / 2) / std::sqrt(2 * M_PI);
      ASSERT_NEAR(slope, exact, 1e-6) << "at " << at;
    }
  });
}

TEST(SigmoidBackward, OfEveryLength) {
  on_every_target([] {
    for (int count = 0; count <= kWidest; ++count) {
      const InputRows x(1, count, 11);
      const InputRows dy(1, count, 12);
      std::vector<float> y;
      for (int i = 0; i < count; ++i) y.push_back(static_cast<float>(testing::exact_sigmoid(x[0][i])));
      const OutputRows dx = copies(dy, 1, count);
      sigmoid_backward(y.data(), dx[0], count, dx[0]);
      for (int i = 0; i < count; ++i) {
        const double value = testing::exact_sigmoid(x[0][i]);
        ASSERT_NEAR(dx[0][i], dy[0][i] * value * (1 - value), 1e-6 * (1 + std::abs(dy[0][i])));
      }
      dx.expect_guards();
    }
  });
}

/// All ways in which the middle row can lie: inside, at the top, at the bottom, alone.
std::vector<RowTriple> triples(const InputRows& rows) {
  return {{rows[0], rows[1], rows[2]},
          {nullptr, rows[1], rows[2]},
          {rows[0], rows[1], nullptr},
          {nullptr, rows[1], nullptr}};
}

const float* row_of(const RowTriple& x, int dy) { return dy < 0 ? x.above : dy == 0 ? x.middle : x.below; }

TEST(DepthwiseBackward, WeightsOfEveryWidthAndBorder) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; channels = next_width(channels)) {
      for (const int width : {1, 2, 3, 7}) {
        const InputRows rows(3, width * channels, 13);
        const InputRows dy(1, width * channels, 14);
        const InputRows before(1, 9 * channels, 15);
        for (const RowTriple& x : triples(rows)) {
          const OutputRows dweights = copies(before, 1, 9 * channels);
          depthwise3x3_weight_gradient_row(x, width, channels, dy[0], dweights[0]);
          for (int tap = 0; tap < 9; ++tap) {
            for (int c = 0; c < channels; ++c) {
              double expected = before[0][tap * channels + c];
              for (int column = 0; column < width; ++column) {
                const float* row = row_of(x, tap / 3 - 1);
                const int at = column + tap % 3 - 1;
                if (row == nullptr || at < 0 || at >= width) continue;
                expected += double{row[at * channels + c]} * dy[0][column * channels + c];
              }
              ASSERT_NEAR(dweights[0][tap * channels + c], expected, 4e-6) << channels << " channels, tap " << tap;
            }
          }
          dweights.expect_guards();
        }
      }
    }
  });
}

TEST(DepthwiseBackward, InputIsTheForwardWithTheKernelFlipped) {
  on_every_target([] {
    // What one result row gives to the middle row, through the kernel turned, against the definition.
    constexpr int kWidth = 5;
    constexpr int kChannels = 11;
    const InputRows dy(3, kWidth * kChannels, 16);
    const InputRows weights(1, 9 * kChannels, 17);
    std::vector<float> turned(9 * kChannels);
    for (int tap = 0; tap < 9; ++tap) {
      std::copy_n(weights[0] + tap * kChannels, kChannels, turned.data() + (8 - tap) * kChannels);
    }
    const OutputRows dx(1, kWidth * kChannels);
    depthwise3x3_row({dy[0], dy[1], dy[2]}, kWidth, kChannels, turned.data(), false, dx[0]);
    for (int column = 0; column < kWidth; ++column) {
      for (int c = 0; c < kChannels; ++c) {
        double expected = 0.0;  // of all results (row, at) that see this position through a tap
        for (int row = 0; row < 3; ++row) {
          for (int at = std::max(0, column - 1); at <= std::min(kWidth - 1, column + 1); ++at) {
            const int tap = (2 - row) * 3 + (column - at + 1);
            expected += double{dy[row][at * kChannels + c]} * weights[0][tap * kChannels + c];
          }
        }
        ASSERT_NEAR(dx[0][column * kChannels + c], expected, 4e-6);
      }
    }
  });
}

void expect_max_pool_backward(const std::vector<RowTriple>& ways, int width, int channels, float outside,
                              const InputRows& dy, const InputRows& before) {
  for (const RowTriple& x : ways) {
    const OutputRows dx = copies(before, 3, width * channels);
    max_pool3x3_backward_row(x, width, channels, outside, dy[0], x.above == nullptr ? nullptr : dx[0], dx[1],
                             x.below == nullptr ? nullptr : dx[2]);
    std::vector<std::vector<double>> expected;
    for (int row = 0; row < 3; ++row) expected.emplace_back(before[row], before[row] + width * channels);
    for (int column = 0; column < width / 2; ++column) {
      for (int c = 0; c < channels; ++c) {
        float largest = -std::numeric_limits<float>::infinity();
        int winner = -1;
        for (int tap = 0; tap < 9; ++tap) {
          const float* row = row_of(x, tap / 3 - 1);
          const int at = 2 * column + tap % 3 - 1;
          const float value = row == nullptr || at < 0 ? outside : row[at * channels + c];
          if (value > largest) {
            largest = value;
            winner = tap;
          }
        }
        const int at = 2 * column + winner % 3 - 1;
        if (row_of(x, winner / 3 - 1) == nullptr || at < 0) continue;  // the padding's
        expected[static_cast<std::size_t>(winner / 3)][static_cast<std::size_t>(at * channels + c)] +=
            dy[0][column * channels + c];
      }
    }
    for (int row = 0; row < 3; ++row) {
      for (int i = 0; i < width * channels; ++i) {
        ASSERT_NEAR(dx[row][i], expected[static_cast<std::size_t>(row)][static_cast<std::size_t>(i)], 2e-6)
            << channels << " channels, row " << row << ", float " << i;
      }
    }
    dx.expect_guards();
  }
}

TEST(MaxPoolBackward, EveryWidthBorderAndPadding) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; channels = next_width(channels)) {
      for (const int width : {2, 4, 6}) {
        const InputRows rows(3, width * channels, 18);
        const InputRows dy(1, width / 2 * channels, 19);
        const InputRows before(3, width * channels, 20);
        for (const float outside : {0.0f, -std::numeric_limits<float>::infinity()}) {
          expect_max_pool_backward(triples(rows), width, channels, outside, dy, before);
        }
      }
    }
  });
}

TEST(MaxPoolBackward, AmongEqualsTheFirstWins) {
  on_every_target([] {
    constexpr int kWidth = 6;
    constexpr int kChannels = 37;
    const InputRows random(3, kWidth * kChannels, 21);
    const InputRows dy(1, kWidth / 2 * kChannels, 22);
    const InputRows before(3, kWidth * kChannels, 23);
    // Of numbers -1, 0 and 1 many are equal, and equal to the padding.
    std::vector<std::vector<float>> coarse;
    for (int row = 0; row < 3; ++row) {
      coarse.emplace_back();
      for (int i = 0; i < kWidth * kChannels; ++i) coarse.back().push_back(std::round(random[row][i] * 0.7f));
    }
    const float* const above = coarse[0].data();
    const float* const middle = coarse[1].data();
    const float* const below = coarse[2].data();
    const std::vector<RowTriple> ways = {{above, middle, below}, {nullptr, middle, below}, {above, middle, nullptr}};
    expect_max_pool_backward(ways, kWidth, kChannels, 0.0f, dy, before);
    expect_max_pool_backward(ways, kWidth, kChannels, -std::numeric_limits<float>::infinity(), dy, before);
  });
}

TEST(ScalePositionsBackward, EveryWidthAlsoInPlace) {
  on_every_target([] {
    for (int channels = 1; channels <= 2 * kWidest; channels = next_width(channels)) {
      for (const int count : {0, 1, 9}) {
        const InputRows x(1, count * channels, 24);
        const InputRows dy(1, count * channels, 25);
        const InputRows scale(1, channels, 26);
        const InputRows before(1, channels, 27);
        const OutputRows dx(1, count * channels);
        const OutputRows in_place = copies(dy, 1, count * channels);
        const OutputRows dscale = copies(before, 1, channels);
        const OutputRows again = copies(before, 1, channels);
        const OutputRows dot = copies(before, 1, channels);
        scale_positions_backward(x[0], scale[0], dy[0], count, channels, dx[0], dscale[0]);
        scale_positions_backward(x[0], scale[0], in_place[0], count, channels, in_place[0], again[0]);
        dot_positions(x[0], dy[0], count, channels, dot[0]);
        for (int c = 0; c < channels; ++c) {
          double sum = before[0][c];
          for (int position = 0; position < count; ++position) {
            const int i = position * channels + c;
            sum += double{x[0][i]} * dy[0][i];
            ASSERT_EQ(dx[0][i], dy[0][i] * scale[0][c]) << channels << " channels";
            ASSERT_EQ(in_place[0][i], dx[0][i]);
          }
          ASSERT_NEAR(dscale[0][c], sum, 1e-5) << channels << " channels";
          ASSERT_EQ(again[0][c], dscale[0][c]);
          ASSERT_EQ(dot[0][c], dscale[0][c]);
        }
        dx.expect_guards();
        dscale.expect_guards();
        dot.expect_guards();
      }
    }
  });
}

TEST(Adding, OfEveryLength) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; ++channels) {
      for (const int positions : {0, 1, 3}) {
        const int count = positions * channels;
        const InputRows x(1, count, 28);
        const InputRows before(1, count, 29);
        const InputRows scale(1, channels, 30);
        const OutputRows plain = copies(before, 1, count);
        const OutputRows scaled = copies(before, 1, count);
        const OutputRows by_channel = copies(before, 1, count);
        const OutputRows by_ones = copies(before, 1, count);
        add_to(plain[0], x[0], count);
        add_scaled_to(scaled[0], x[0], 0.37f, count);
        add_scaled_positions(x[0], positions, channels, scale[0], by_channel[0]);
        add_scaled_positions(x[0], positions, channels, nullptr, by_ones[0]);
        for (int i = 0; i < count; ++i) {
          ASSERT_EQ(plain[0][i], before[0][i] + x[0][i]);
          ASSERT_EQ(by_ones[0][i], plain[0][i]);
          ASSERT_NEAR(scaled[0][i], before[0][i] + 0.37 * x[0][i], 1e-6);
          ASSERT_NEAR(by_channel[0][i], before[0][i] + double{scale[0][i % channels]} * x[0][i], 2e-6);
        }
        plain.expect_guards();
        scaled.expect_guards();
        by_channel.expect_guards();
        by_ones.expect_guards();
      }
    }
  });
}

}  // namespace
}  // namespace gcvit::kernels
