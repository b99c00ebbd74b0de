// SPDX-License-Identifier: Apache-2.0
// The scalar twin of the native backend: every operation's formula as plain loops in double precision, nothing shared
// with the code under test but the shape rules. Fused halves are the compositions that ops/ gives.
#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <span>
#include <vector>

#include "ops/backend.h"
#include "ops/shape.h"

namespace gcvit::testing {

class ScalarBackend final : public ops::Backend {
 public:
  using Shape = ops::Shape;
  using Value = ops::Value;

  explicit ScalarBackend(int batch) : batch_(batch) {}

  Value input(const Shape& shape, std::span<const float> values) {
    const Value value = make(shape);
    data(value).assign(values.begin(), values.end());
    return value;
  }
  std::vector<double>& data(const Value& value) { return data_[static_cast<std::size_t>(value.id())]; }

  Value convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) override {
    const Shape in = x.shape();
    const Value y = make(ops::convolution3x3_stride2_shape(in, convolution));
    const Shape out = y.shape();
    const auto weight = convolution.weight.tensor.values();
    each(out, [&](int n, int row, int column, int c) {
      double sum = convolution.bias ? convolution.bias->tensor.values()[c] : 0.0;
      for (int i = 0; i < in.channels; ++i) {
        for (int tap = 0; tap < 9; ++tap) {
          sum += at(x, n, 2 * row + tap / 3 - 1, 2 * column + tap % 3 - 1, i, 0.0) *
                 weight[(c * in.channels + i) * 9 + tap];
        }
      }
      set(y, n, row, column, c, sum);
    });
    return y;
  }

  Value depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution, ops::Activation activation) override {
    const Value y = make(x.shape());
    each(x.shape(), [&](int n, int row, int column, int c) {
      double sum = 0.0;
      for (int tap = 0; tap < 9; ++tap) {
        sum +=
            at(x, n, row + tap / 3 - 1, column + tap % 3 - 1, c, 0.0) * convolution.weight.tensor.values()[c * 9 + tap];
      }
      set(y, n, row, column, c, activate(sum, activation));
    });
    return y;
  }

  Value linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) override {
    const Value y = make(ops::linear_shape(x.shape(), linear, epilogue));
    const auto weight = linear.weight.tensor.values();
    const int in = x.shape().channels;
    each(y.shape(), [&](int n, int row, int column, int c) {
      double sum = linear.bias ? linear.bias->tensor.values()[c] : 0.0;
      for (int i = 0; i < in; ++i) sum += at(x, n, row, column, i, 0.0) * weight[c * in + i];
      sum = activate(sum, epilogue.activation);
      if (const ops::Residual* residual = epilogue.residual) {
        const double gamma = residual->gamma == nullptr ? 1.0 : residual->gamma->tensor.values()[c];
        sum = at(residual->input, n, row, column, c, 0.0) + gamma * sum;
      }
      set(y, n, row, column, c, sum);
    });
    return y;
  }

  Value layer_norm(const Value& x, const ops::LayerNorm& norm) override {
    const Value y = make(x.shape());
    const int channels = x.shape().channels;
    each({x.shape().height, x.shape().width, 1}, [&](int n, int row, int column, int) {
      double mean = 0.0;
      double variance = 0.0;
      for (int c = 0; c < channels; ++c) mean += at(x, n, row, column, c, 0.0) / channels;
      for (int c = 0; c < channels; ++c) variance += std::pow(at(x, n, row, column, c, 0.0) - mean, 2) / channels;
      for (int c = 0; c < channels; ++c) {
        const double normalized = (at(x, n, row, column, c, 0.0) - mean) / std::sqrt(variance + 1e-5);
        set(y, n, row, column, c, normalized * norm.weight.tensor.values()[c] + norm.bias.tensor.values()[c]);
      }
    });
    return y;
  }

  Value max_pool3x3_stride2(const Value& x, ops::PoolPadding padding) override {
    const Value y = make(ops::max_pool3x3_stride2_shape(x.shape()));
    const double outside = padding == ops::PoolPadding::kZero ? 0.0 : -std::numeric_limits<double>::infinity();
    each(y.shape(), [&](int n, int row, int column, int c) {
      double largest = -std::numeric_limits<double>::infinity();
      for (int tap = 0; tap < 9; ++tap) {
        largest = std::max(largest, at(x, n, 2 * row + tap / 3 - 1, 2 * column + tap % 3 - 1, c, outside));
      }
      set(y, n, row, column, c, largest);
    });
    return y;
  }

  Value global_average_pool(const Value& x) override {
    const Value y = make(ops::global_average_pool_shape(x.shape()));
    each(x.shape(), [&](int n, int row, int column, int c) {
      data(y)[static_cast<std::size_t>(n * x.shape().channels + c)] +=
          at(x, n, row, column, c, 0.0) / static_cast<double>(x.shape().positions());
    });
    return y;
  }

  Value scale_channels(const Value& x, const Value& scale) override {
    const Value y = make(ops::scale_channels_shape(x.shape(), scale.shape()));
    each(x.shape(), [&](int n, int row, int column, int c) {
      set(y, n, row, column, c, at(x, n, row, column, c, 0.0) * at(scale, n, 0, 0, c, 0.0));
    });
    return y;
  }

  Value window_attention(const Value& qkv, const Value* global_query, const ops::Parameter& bias_table,
                         std::int32_t heads, ops::Window window) override {
    const Shape* query_shape = global_query == nullptr ? nullptr : &global_query->shape();
    const Value y = make(ops::window_attention_shape(qkv.shape(), query_shape, bias_table, heads, window));
    const int channels = y.shape().channels;
    const int head_dim = channels / heads;
    const int key_at = global_query == nullptr ? channels : 0;
    const auto table = bias_table.tensor.values();
    each({y.shape().height, y.shape().width, heads}, [&](int n, int row, int column, int head) {
      const int top = row / window.height * window.height;
      const int left = column / window.width * window.width;
      const int token_row = row - top;
      const int token_column = column - left;
      std::vector<double> scores;
      for (int v = 0; v < window.height; ++v) {
        for (int u = 0; u < window.width; ++u) {
          double score = 0.0;
          for (int c = head * head_dim; c < (head + 1) * head_dim; ++c) {
            const double q = global_query == nullptr ? at(qkv, n, row, column, c, 0.0)
                                                     : at(*global_query, n, token_row, token_column, c, 0.0);
            score += q / std::sqrt(head_dim) * at(qkv, n, top + v, left + u, key_at + c, 0.0);
          }
          const int bias_row =
              (token_row - v + window.height - 1) * (2 * window.width - 1) + (token_column - u + window.width - 1);
          scores.push_back(score + table[static_cast<std::size_t>(bias_row * heads + head)]);
        }
      }
      double sum = 0.0;
      for (double& score : scores) sum += score = std::exp(score);
      for (int c = head * head_dim; c < (head + 1) * head_dim; ++c) {
        double value = 0.0;
        for (int t = 0; t < window.tokens(); ++t) {
          value += scores[static_cast<std::size_t>(t)] / sum *
                   at(qkv, n, top + t / window.width, left + t % window.width, key_at + channels + c, 0.0);
        }
        set(y, n, row, column, c, value);
      }
    });
    return y;
  }

  Value pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) override {
    const Value y = make(ops::pad_bottom_right_shape(x.shape(), height, width));
    each(y.shape(),
         [&](int n, int row, int column, int c) { set(y, n, row, column, c, at(x, n, row, column, c, 0.0)); });
    return y;
  }

  Value crop(const Value& x, std::int32_t height, std::int32_t width) override {
    const Value y = make(ops::crop_shape(x.shape(), height, width));
    each(y.shape(),
         [&](int n, int row, int column, int c) { set(y, n, row, column, c, at(x, n, row, column, c, 0.0)); });
    return y;
  }

  Value resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) override {
    const Shape in = x.shape();
    const Value y = make(ops::resize_bicubic_shape(in, height, width));
    // Every position within two of the centre, weighted by Keys' kernel; outside stands what is on the edge.
    const auto weight = [](double distance) {
      const double d = std::abs(distance);
      if (d >= 2.0) return 0.0;
      return d < 1.0 ? 1.25 * d * d * d - 2.25 * d * d + 1.0 : -0.75 * d * d * d + 3.75 * d * d - 6.0 * d + 3.0;
    };
    each(y.shape(), [&](int n, int row, int column, int c) {
      const double centre_y = (row + 0.5) * in.height / height - 0.5;
      const double centre_x = (column + 0.5) * in.width / width - 0.5;
      double sum = 0.0;
      for (int v = -3; v < in.height + 3; ++v) {
        for (int u = -3; u < in.width + 3; ++u) {
          const double factor = weight(v - centre_y) * weight(u - centre_x);
          if (factor == 0.0) continue;
          sum += factor * at(x, n, std::clamp(v, 0, in.height - 1), std::clamp(u, 0, in.width - 1), c, 0.0);
        }
      }
      set(y, n, row, column, c, sum);
    });
    return y;
  }

  void retain(std::int32_t) override {}
  void release(std::int32_t) noexcept override {}

 private:
  Value make(const Shape& shape) {
    data_.emplace_back(static_cast<std::size_t>(batch_ * shape.size()));
    return {*this, static_cast<std::int32_t>(data_.size() - 1), shape};
  }
  std::size_t index(const Value& v, int n, int row, int column, int c) const {
    return static_cast<std::size_t>(((n * v.shape().height + row) * v.shape().width + column) * v.shape().channels + c);
  }
  double at(const Value& v, int n, int row, int column, int c, double outside) {
    if (row < 0 || column < 0 || row >= v.shape().height || column >= v.shape().width) return outside;
    return data(v)[index(v, n, row, column, c)];
  }
  void set(const Value& v, int n, int row, int column, int c, double value) {
    data(v)[index(v, n, row, column, c)] = value;
  }
  template <typename Body>
  void each(const Shape& shape, const Body& body) {
    for (int n = 0; n < batch_; ++n) {
      for (int row = 0; row < shape.height; ++row) {
        for (int column = 0; column < shape.width; ++column) {
          for (int c = 0; c < shape.channels; ++c) body(n, row, column, c);
        }
      }
    }
  }
  static double activate(double x, ops::Activation activation) {
    switch (activation) {
      case ops::Activation::kGelu: return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
      case ops::Activation::kSigmoid: return 1 / (1 + std::exp(-x));
      case ops::Activation::kNone: break;
    }
    return x;
  }

  int batch_;
  std::deque<std::vector<double>> data_;  // references stay valid as it grows
};

}  // namespace gcvit::testing
