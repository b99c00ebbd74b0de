// SPDX-License-Identifier: Apache-2.0
// The kernels over rows and positions against plain loops, at every width up to several vectors and a tail.
#include "kernels/rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tests/kernels/every_target.h"

namespace gcvit::kernels {
namespace {

using testing::InputRows;
using testing::on_every_target;
using testing::OutputRows;
using testing::random_floats;

constexpr int kWidest = 70;  ///< channels: two of the widest vectors and more

TEST(LayerNorm, EveryWidth) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; ++channels) {
      const int count = 1 + channels % 7;
      const InputRows x(count, channels, 1);
      const InputRows parameters(2, channels, 2);
      const OutputRows y(count, channels);
      layer_norm(x.pointers(), count, channels, parameters[0], parameters[1], 1e-5f, y.pointers());
      for (int row = 0; row < count; ++row) {
        double mean = 0.0;
        double variance = 0.0;
        for (int c = 0; c < channels; ++c) mean += double{x[row][c]} / channels;
        for (int c = 0; c < channels; ++c) variance += std::pow(x[row][c] - mean, 2) / channels;
        for (int c = 0; c < channels; ++c) {
          const double expected = (x[row][c] - mean) / std::sqrt(variance + 1e-5) * parameters[0][c] + parameters[1][c];
          ASSERT_NEAR(y[row][c], expected, 3e-6 * (1 + std::abs(expected))) << channels << " channels";
        }
      }
      y.expect_guards();
    }
  });
}

TEST(LayerNorm, MayWorkInPlace) {
  on_every_target([] {
    constexpr int kChannels = 37;
    const InputRows x(2, kChannels, 3);
    const InputRows parameters(2, kChannels, 4);
    const OutputRows separate(2, kChannels);
    const OutputRows in_place(2, kChannels);
    for (int row = 0; row < 2; ++row) std::copy_n(x[row], kChannels, in_place[row]);
    layer_norm(x.pointers(), 2, kChannels, parameters[0], parameters[1], 1e-5f, separate.pointers());
    layer_norm(in_place.pointers(), 2, kChannels, parameters[0], parameters[1], 1e-5f, in_place.pointers());
    for (int row = 0; row < 2; ++row) {
      EXPECT_EQ(std::memcmp(in_place[row], separate[row], kChannels * sizeof(float)), 0);
    }
  });
}

TEST(LayerNorm, KeepsItsDigitsFarFromZero) {
  // Two passes: with the mean a thousand deviations away, one pass over sums of squares would lose everything.
  on_every_target([] {
    constexpr int kChannels = 64;
    std::vector<float> x = random_floats(kChannels, 5);
    for (float& value : x) value += 1000.0f;
    const std::vector<float> ones(kChannels, 1.0f);
    const std::vector<float> zeros(kChannels, 0.0f);
    std::vector<float> y(kChannels);
    const float* from = x.data();
    float* to = y.data();
    layer_norm(&from, 1, kChannels, ones.data(), zeros.data(), 1e-5f, &to);
    double mean = 0.0;
    double variance = 0.0;
    for (const float value : x) mean += double{value} / kChannels;
    for (const float value : x) variance += std::pow(value - mean, 2) / kChannels;
    for (std::size_t c = 0; c < x.size(); ++c) {
      EXPECT_NEAR(y[c], (x[c] - mean) / std::sqrt(variance + 1e-5), 5e-4);
    }
  });
}

TEST(LayerNorm, OfEqualNumbersIsTheShift) {
  on_every_target([] {
    const std::vector<float> x(33, 3.0f);
    const InputRows parameters(2, 33, 6);
    const OutputRows y(1, 33);
    const float* from = x.data();
    layer_norm(&from, 1, 33, parameters[0], parameters[1], 1e-5f, y.pointers());
    for (int c = 0; c < 33; ++c) EXPECT_NEAR(y[0][c], parameters[1][c], 1e-3);
  });
}

/// Row `dy` (-1, 0, 1) of the three, null where it lies outside.
const float* row_of(const RowTriple& x, int dy) { return dy < 0 ? x.above : dy == 0 ? x.middle : x.below; }

/// All ways in which the middle row can lie: inside, at the top, at the bottom, alone.
std::vector<RowTriple> triples(const InputRows& rows) {
  return {{rows[0], rows[1], rows[2]},
          {nullptr, rows[1], rows[2]},
          {rows[0], rows[1], nullptr},
          {nullptr, rows[1], nullptr}};
}

TEST(Depthwise, EveryWidthAndBorder) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; channels += channels < 34 ? 1 : 12) {
      for (const int width : {1, 2, 3, 4, 5, 7}) {
        const InputRows rows(3, width * channels, 7);
        const InputRows weights(1, 9 * channels, 8);
        for (const RowTriple& x : triples(rows)) {
          for (const bool with_gelu : {false, true}) {
            const OutputRows y(1, width * channels);
            depthwise3x3_row(x, width, channels, weights[0], with_gelu, y[0]);
            for (int column = 0; column < width; ++column) {
              for (int c = 0; c < channels; ++c) {
                double expected = 0.0;
                double magnitude = 0.0;
                for (int tap = 0; tap < 9; ++tap) {
                  const float* row = row_of(x, tap / 3 - 1);
                  const int at = column + tap % 3 - 1;
                  if (row == nullptr || at < 0 || at >= width) continue;
                  const double term = double{row[at * channels + c]} * weights[0][tap * channels + c];
                  expected += term;
                  magnitude += std::abs(term);
                }
                if (with_gelu) expected = testing::exact_gelu(expected);
                ASSERT_NEAR(y[0][column * channels + c], expected, 1e-6 * magnitude + 1e-7) << channels << " channels";
              }
            }
            y.expect_guards();
          }
        }
      }
    }
  });
}

TEST(MaxPool, EveryWidthBorderAndPadding) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; channels += channels < 34 ? 1 : 12) {
      for (const int width : {2, 4, 6}) {
        const InputRows rows(3, width * channels, 9);
        for (const RowTriple& x : triples(rows)) {
          for (const float outside : {0.0f, -kInfinity}) {
            const OutputRows y(1, width / 2 * channels);
            max_pool3x3_row(x, width, channels, outside, y[0]);
            for (int column = 0; column < width / 2; ++column) {
              for (int c = 0; c < channels; ++c) {
                float expected = -kInfinity;
                for (int tap = 0; tap < 9; ++tap) {
                  const float* row = row_of(x, tap / 3 - 1);
                  const int at = 2 * column + tap % 3 - 1;
                  expected = std::max(expected, row == nullptr || at < 0 ? outside : row[at * channels + c]);
                }
                ASSERT_EQ(y[0][column * channels + c], expected) << channels << " channels, width " << width;
              }
            }
            y.expect_guards();
          }
        }
      }
    }
  });
}

TEST(SumPositions, AddsInOrder) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; ++channels) {
      for (const int count : {0, 1, 2, 9}) {
        const InputRows x(1, count * channels, 10);
        const OutputRows y(1, channels);
        sum_positions(x[0], count, channels, 0.37f, y[0]);
        for (int c = 0; c < channels; ++c) {
          float sum = 0.0f;
          for (int position = 0; position < count; ++position) sum += x[0][position * channels + c];
          ASSERT_EQ(y[0][c], sum * 0.37f) << channels << " channels";  // to the bit: the order is part of the promise
        }
        y.expect_guards();
      }
    }
  });
}

TEST(ScalePositions, ScalesEveryChannelAlikeAlsoInPlace) {
  on_every_target([] {
    for (int channels = 1; channels <= kWidest; ++channels) {
      for (const int count : {0, 1, 3}) {
        const InputRows x(1, count * channels, 11);
        const InputRows scale(1, channels, 12);
        const OutputRows y(1, count * channels);
        const OutputRows in_place(1, count * channels);
        std::copy_n(x[0], count * channels, in_place[0]);
        scale_positions(x[0], count, channels, scale[0], y[0]);
        scale_positions(in_place[0], count, channels, scale[0], in_place[0]);
        for (int i = 0; i < count * channels; ++i) {
          ASSERT_EQ(y[0][i], x[0][i] * scale[0][i % channels]) << channels << " channels";
          ASSERT_EQ(in_place[0][i], y[0][i]);
        }
        y.expect_guards();
        in_place.expect_guards();
      }
    }
  });
}

}  // namespace
}  // namespace gcvit::kernels
