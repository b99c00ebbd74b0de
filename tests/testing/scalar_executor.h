// SPDX-License-Identifier: Apache-2.0
// An executor as plain loops in double precision: every operation's formula, its derivatives by a scalar tape, the
// optimisers' formulas. Nothing is shared with the code under test but the shape rules and the compositions of ops/.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/shape.h"
#include "ops/training_executor.h"
#include "tests/testing/scalar_number.h"
#include "tests/testing/scalar_vector.h"

namespace gcvit::testing {

class ScalarExecutor final : public ops::TrainingExecutor {
 public:
  using Shape = ops::Shape;
  using Value = ops::Value;

  ScalarExecutor() = default;
  explicit ScalarExecutor(std::int32_t batch) { start(batch); }

  void start(std::int32_t batch) override {
    if (batch < 1) fail("[scalar] batch: expected at least 1 image, found {}", batch);
    batch_ = batch;
    for (Slot& slot : slots_) slot = {};
    first_of_run_ = slots_.size();
    training_run_ = recording_ = false;
    training_ = {};
    branches_ = 0;
    tape_.clear();
    leaves_.clear();
    slopes_.clear();
  }
  Value input(const Shape& shape, std::span<const float> values) override {
    if (static_cast<std::int64_t>(values.size()) != batch_ * shape.size()) {
      fail("[scalar] input: expected {} floats, found {}", batch_ * shape.size(), values.size());
    }
    const Value value = make(shape);
    std::ranges::transform(values, numbers(value).begin(), [&](float number) { return leaf(number); });
    return value;
  }
  std::span<const float> read(const Value& value) const override {
    const Slot& slot = slot_of(value);
    slot.floats.clear();
    for (const Number& number : slot.numbers) slot.floats.push_back(static_cast<float>(number.value));
    return slot.floats;
  }
  void set_precision(ops::Precision precision) override {
    if (precision != ops::Precision::kF32) fail("[scalar] precision: expected f32");
  }

  /// A value's numbers, unrounded.
  std::vector<double> data(const Value& value) const {
    std::vector<double> values;
    for (const Number& number : slot_of(value).numbers) values.push_back(number.value);
    return values;
  }
  /// Moves one element of an input.
  void add(const Value& value, std::size_t element, double step) { numbers(value)[element].value += step; }

  void start_training(std::int32_t batch, Training training) override {
    start(batch);
    training_ = std::move(training);
    training_run_ = recording_ = true;
  }
  void backward(const Value& value, std::span<const float> gradient, ops::ParameterVector& gradients) override {
    if (!recording_) fail("[scalar] backward: expected a training run");
    const std::vector<Number>& outputs = numbers(value);
    if (gradient.size() != outputs.size()) fail("[scalar] backward: expected {} floats", outputs.size());
    recording_ = training_run_ = false;
    slopes_.clear();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].tape == nullptr) continue;
      const auto node = static_cast<std::size_t>(outputs[i].node);
      if (slopes_.size() <= node) slopes_.resize(node + 1);
      slopes_[node] += static_cast<double>(gradient[i]);
    }
    tape_.backward(slopes_);
    ScalarVector& to = ScalarVector::own(gradients);
    to.for_each([&](std::size_t id, std::size_t, double& element) {
      if (trains(id)) element = 0.0;
    });
    for (const auto& [parameter, leaves] : leaves_) {
      if (!trains(static_cast<std::size_t>(parameter->id))) continue;
      std::ranges::transform(leaves, to.of(*parameter).begin(), [&](const Number& leaf) { return slope_of(leaf); });
    }
  }
  /// All are kept.
  void retain_grad(const Value& value) override {
    static_cast<void>(slot_of(value));
    if (!recording_) fail("[scalar] retain_grad: expected a training run");
  }
  std::span<const float> gradient_of(const Value& value) const override {
    const Slot& slot = slot_of(value);
    if (slopes_.empty()) fail("[scalar] gradient_of: expected a run after backward");
    slot.gradient.clear();
    for (const Number& number : slot.numbers) slot.gradient.push_back(static_cast<float>(slope_of(number)));
    return slot.gradient;
  }

  std::unique_ptr<ops::ParameterVector> make_vector(std::span<const ops::Parameter* const> parameters) override {
    return std::make_unique<ScalarVector>(parameters);
  }
  void add(ops::ParameterVector& to, const ops::ParameterVector& from) override {
    ScalarVector::own(to).for_each(
        [&](std::size_t id, std::size_t i, double& element) { element += ScalarVector::own(from).elements[id][i]; });
  }
  void scale(ops::ParameterVector& vector, float factor) override {
    ScalarVector::own(vector).for_each(
        [&](std::size_t, std::size_t, double& element) { element *= static_cast<double>(factor); });
  }
  double norm(const ops::ParameterVector& vector, std::span<const ops::Parameter* const> parameters) override {
    double sum = 0.0;
    for (const ops::Parameter* parameter : parameters) {
      for (const double element : ScalarVector::own(vector).of(*parameter)) sum += element * element;
    }
    return std::sqrt(sum);
  }
  void step(const ops::OptimiserStep& step) override { scalar_step(step); }
  void swap(ops::ParameterVector& vector, std::span<ops::Parameter* const> parameters) override {
    for (ops::Parameter* parameter : parameters) {
      const std::span<float> weights = parameter->tensor.mutable_values();
      std::vector<double>& elements = ScalarVector::own(vector).of(*parameter);
      for (std::size_t i = 0; i < weights.size(); ++i) {
        weights[i] = static_cast<float>(std::exchange(elements[i], static_cast<double>(weights[i])));
      }
      ++parameter->version;
    }
  }
  void update_tensors(std::span<ops::Parameter* const>) override {}

  Value convolution3x3_stride2(const Value& x, const ops::Conv3x3& convolution) override {
    const Shape in = x.shape();
    const Value y = make(ops::convolution3x3_stride2_shape(in, convolution));
    const std::vector<Number>& weight = leaf(convolution.weight);
    const std::vector<Number>* bias = leaf(convolution.bias);
    each(y.shape(), [&](int n, int row, int column, int c) {
      Sum sum;
      if (bias != nullptr) sum.add((*bias)[at(c)]);
      for (int i = 0; i < in.channels; ++i) {
        for (int tap = 0; tap < 9; ++tap) {
          sum.add_product(get(x, n, 2 * row + tap / 3 - 1, 2 * column + tap % 3 - 1, i),
                          weight[at((c * in.channels + i) * 9 + tap)]);
        }
      }
      set(y, n, row, column, c, sum.total());
    });
    return y;
  }

  Value depthwise_convolution3x3(const Value& x, const ops::Conv3x3& convolution, ops::Activation activation) override {
    const Value y = make(ops::depthwise_convolution3x3_shape(x.shape(), convolution));
    const std::vector<Number>& weight = leaf(convolution.weight);
    each(x.shape(), [&](int n, int row, int column, int c) {
      Sum sum;
      for (int tap = 0; tap < 9; ++tap) {
        sum.add_product(get(x, n, row + tap / 3 - 1, column + tap % 3 - 1, c), weight[at(c * 9 + tap)]);
      }
      set(y, n, row, column, c, activate(sum.total(), activation));
    });
    return y;
  }

  Value linear(const Value& x, const ops::Linear& linear, const ops::Epilogue& epilogue) override {
    const Value y = make(ops::linear_shape(x.shape(), linear, epilogue));
    const std::vector<Number>& weight = leaf(linear.weight);
    const std::vector<Number>* bias = leaf(linear.bias);
    const ops::Residual* residual = epilogue.residual;
    const int in = x.shape().channels;
    const std::vector<Number>* gamma =
        residual == nullptr || residual->gamma == nullptr ? nullptr : &leaf(*residual->gamma);
    std::vector<double> factors(at(batch_), 1.0);  // of the residual branch, by image
    for (std::int32_t n = 0; n < batch_ && residual != nullptr; ++n) factors[at(n)] = drop_path_factor(n, *residual);
    each(y.shape(), [&](int n, int row, int column, int c) {
      Sum sum;
      if (bias != nullptr) sum.add((*bias)[at(c)]);
      for (int i = 0; i < in; ++i) sum.add_product(get(x, n, row, column, i), weight[at(c * in + i)]);
      Number result = activate(sum.total(), epilogue.activation);
      if (residual != nullptr) {
        if (gamma != nullptr) result = (*gamma)[at(c)] * result;
        result = get(residual->input, n, row, column, c) + result * factors[at(n)];
      }
      set(y, n, row, column, c, result);
    });
    return y;
  }

  Value layer_norm(const Value& x, const ops::LayerNorm& norm) override {
    const Value y = make(ops::layer_norm_shape(x.shape(), norm));
    const int channels = x.shape().channels;
    const std::vector<Number>& weight = leaf(norm.weight);
    const std::vector<Number>& bias = leaf(norm.bias);
    each({x.shape().height, x.shape().width, 1}, [&](int n, int row, int column, int) {
      Sum mean;
      for (int c = 0; c < channels; ++c) mean.add(get(x, n, row, column, c), 1.0 / channels);
      const Number centre = mean.total();
      Sum variance;
      std::vector<Number> centred;
      for (int c = 0; c < channels; ++c) {
        centred.push_back(get(x, n, row, column, c) - centre);
        variance.add_product(centred.back(), centred.back(), 1.0 / channels);
      }
      const Number deviation = sqrt(variance.total() + 1e-5);
      for (int c = 0; c < channels; ++c) {
        set(y, n, row, column, c, centred[at(c)] / deviation * weight[at(c)] + bias[at(c)]);
      }
    });
    return y;
  }

  Value max_pool3x3_stride2(const Value& x, ops::PoolPadding padding) override {
    const Value y = make(ops::max_pool3x3_stride2_shape(x.shape()));
    const double outside = padding == ops::PoolPadding::kZero ? 0.0 : -std::numeric_limits<double>::infinity();
    each(y.shape(), [&](int n, int row, int column, int c) {
      Number largest = -std::numeric_limits<double>::infinity();
      for (int tap = 0; tap < 9; ++tap) {
        const Number number = get(x, n, 2 * row + tap / 3 - 1, 2 * column + tap % 3 - 1, c, outside);
        if (number.value > largest.value) largest = number;
      }
      set(y, n, row, column, c, largest);
    });
    return y;
  }

  Value global_average_pool(const Value& x) override {
    const Value y = make(ops::global_average_pool_shape(x.shape()));
    each(y.shape(), [&](int n, int, int, int c) {
      Sum sum;
      for (int row = 0; row < x.shape().height; ++row) {
        for (int column = 0; column < x.shape().width; ++column) {
          sum.add(get(x, n, row, column, c), 1.0 / static_cast<double>(x.shape().positions()));
        }
      }
      set(y, n, 0, 0, c, sum.total());
    });
    return y;
  }

  Value scale_channels(const Value& x, const Value& scale) override {
    const Value y = make(ops::scale_channels_shape(x.shape(), scale.shape()));
    each(x.shape(), [&](int n, int row, int column, int c) {
      set(y, n, row, column, c, get(x, n, row, column, c) * get(scale, n, 0, 0, c));
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
    const std::vector<Number>& table = leaf(bias_table);
    each({y.shape().height, y.shape().width, heads}, [&](int n, int row, int column, int head) {
      const int top = row / window.height * window.height;
      const int left = column / window.width * window.width;
      std::vector<Number> exponentials;
      Sum sum;
      for (int t = 0; t < window.tokens(); ++t) {
        const int v = t / window.width;
        const int u = t % window.width;
        Sum score;
        for (int c = head * head_dim; c < (head + 1) * head_dim; ++c) {
          const Number q = global_query == nullptr ? get(qkv, n, row, column, c)
                                                   : get(*global_query, n, row - top, column - left, c);
          score.add_product(q, get(qkv, n, top + v, left + u, key_at + c), 1.0 / std::sqrt(head_dim));
        }
        const int bias_row =
            (row - top - v + window.height - 1) * (2 * window.width - 1) + (column - left - u + window.width - 1);
        score.add(table[at(bias_row * heads + head)]);
        exponentials.push_back(exp(score.total()));
        sum.add(exponentials.back());
      }
      const Number total = sum.total();
      std::vector<Number> probabilities;
      for (const Number& exponential : exponentials) probabilities.push_back(exponential / total);
      for (int c = head * head_dim; c < (head + 1) * head_dim; ++c) {
        Sum attended;
        for (int t = 0; t < window.tokens(); ++t) {
          attended.add_product(probabilities[at(t)],
                               get(qkv, n, top + t / window.width, left + t % window.width, key_at + channels + c));
        }
        set(y, n, row, column, c, attended.total());
      }
    });
    return y;
  }

  Value pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) override {
    const Value y = make(ops::pad_bottom_right_shape(x.shape(), height, width));
    each(y.shape(), [&](int n, int row, int column, int c) { set(y, n, row, column, c, get(x, n, row, column, c)); });
    return y;
  }

  Value crop(const Value& x, std::int32_t height, std::int32_t width) override {
    const Value y = make(ops::crop_shape(x.shape(), height, width));
    each(y.shape(), [&](int n, int row, int column, int c) { set(y, n, row, column, c, get(x, n, row, column, c)); });
    return y;
  }

  Value resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) override {
    const Shape in = x.shape();
    const Value y = make(ops::resize_bicubic_shape(in, height, width));
    // Every position within two of the centre, weighted by Keys' kernel; outside the map its edge is repeated.
    const auto weight = [](double distance) {
      const double d = std::abs(distance);
      if (d >= 2.0) return 0.0;
      return d < 1.0 ? 1.25 * d * d * d - 2.25 * d * d + 1.0 : -0.75 * d * d * d + 3.75 * d * d - 6.0 * d + 3.0;
    };
    each(y.shape(), [&](int n, int row, int column, int c) {
      const double centre_y = (row + 0.5) * in.height / height - 0.5;
      const double centre_x = (column + 0.5) * in.width / width - 0.5;
      Sum sum;
      for (int v = -3; v < in.height + 3; ++v) {
        for (int u = -3; u < in.width + 3; ++u) {
          const double factor = weight(v - centre_y) * weight(u - centre_x);
          if (factor == 0.0) continue;
          sum.add(get(x, n, std::clamp(v, 0, in.height - 1), std::clamp(u, 0, in.width - 1), c), factor);
        }
      }
      set(y, n, row, column, c, sum.total());
    });
    return y;
  }

  Value attention_sublayer(const Value& x, const ops::AttentionSublayer& sublayer) override {
    ++branches_;
    return Backend::attention_sublayer(x, sublayer);
  }
  Value mlp_sublayer(const Value& x, const ops::MlpSublayer& sublayer) override {
    ++branches_;
    return Backend::mlp_sublayer(x, sublayer);
  }

  void retain(std::int32_t) override {}
  void release(std::int32_t) noexcept override {}

 private:
  struct Slot {
    std::vector<Number> numbers;
    mutable std::vector<float> floats;  ///< what `read` gives out
    mutable std::vector<float> gradient;
  };

  static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

  Value make(const Shape& shape) {
    slots_.emplace_back().numbers.resize(at(batch_ * shape.size()));
    return {*this, static_cast<std::int32_t>(slots_.size() - 1), shape};
  }
  const Slot& slot_of(const Value& value) const {
    if (value.backend() != this) fail("[scalar] expected a value of this executor, found one of another");
    if (at(value.id()) < first_of_run_) fail("[scalar] expected a value of this run, found one of an earlier run");
    return slots_[at(value.id())];
  }
  std::vector<Number>& numbers(const Value& value) { return const_cast<Slot&>(slot_of(value)).numbers; }

  Number leaf(float value) {
    const auto number = static_cast<double>(value);
    return recording_ ? Number(number, &tape_, tape_.add_node({})) : Number(number);
  }
  /// A parameter's elements, the same numbers wherever a training run uses it.
  const std::vector<Number>& leaf(const ops::Parameter& parameter) {
    const std::span<const float> values = parameter.tensor.values();
    if (std::ssize(values) != element_count(parameter.dims)) fail("[scalar] \"{}\" has no values", parameter.name);
    const auto [entry, is_new] = leaves_.try_emplace(&parameter);
    if (is_new || !recording_) {  // outside training, weights may change between two uses
      entry->second.clear();
      for (const float value : values) entry->second.push_back(leaf(value));
    }
    return entry->second;
  }
  const std::vector<Number>* leaf(const std::optional<ops::Parameter>& parameter) {
    return parameter ? &leaf(*parameter) : nullptr;
  }
  bool trains(std::size_t id) const { return training_.trainable.empty() || training_.trainable.at(id); }
  double slope_of(const Number& number) const {
    return number.tape == nullptr ? 0.0 : slopes_.at(static_cast<std::size_t>(number.node));
  }

  double drop_path_factor(std::int32_t image, const ops::Residual& residual) const {
    if (!training_run_ || residual.drop_path == 0.0f || !training_.keeps_branch) return 1.0;
    const bool kept = training_.keeps_branch(image, branches_ - 1, residual.drop_path);
    return kept ? 1.0 / (1.0 - static_cast<double>(residual.drop_path)) : 0.0;
  }

  Number get(const Value& v, int n, int row, int column, int c, double outside = 0.0) const {
    const Shape& shape = v.shape();
    if (row < 0 || column < 0 || row >= shape.height || column >= shape.width) return outside;
    return slot_of(v).numbers[at(((n * shape.height + row) * shape.width + column) * shape.channels + c)];
  }
  void set(const Value& v, int n, int row, int column, int c, const Number& number) {
    const Shape& shape = v.shape();
    numbers(v)[at(((n * shape.height + row) * shape.width + column) * shape.channels + c)] = number;
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
  static Number activate(const Number& x, ops::Activation activation) {
    switch (activation) {
      case ops::Activation::kGelu: return x * 0.5 * (erf(x * (1.0 / std::numbers::sqrt2)) + 1.0);
      case ops::Activation::kSigmoid: return 1.0 / (exp(x * -1.0) + 1.0);
      case ops::Activation::kNone: break;
    }
    return x;
  }

  std::int32_t batch_ = 0;
  std::deque<Slot> slots_;  ///< by value; those of earlier runs are empty
  std::size_t first_of_run_ = 0;
  bool recording_ = false;
  bool training_run_ = false;
  Training training_;
  std::int32_t branches_ = 0;  ///< residual branches of the run so far
  ScalarTape tape_;
  std::map<const ops::Parameter*, std::vector<Number>> leaves_;  ///< of the run
  std::vector<double> slopes_;  ///< by node, after backward
};

}  // namespace gcvit::testing
