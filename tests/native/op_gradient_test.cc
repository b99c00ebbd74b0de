// SPDX-License-Identifier: Apache-2.0
// Every operation's backward against central differences of its scalar twin in double precision.
#include <gtest/gtest.h>

#include <cmath>

#include "native/native_backend.h"
#include "native/parameter_vector.h"
#include "base/error.h"
#include "tests/testing/scalar_executor.h"
#include "tests/native/test_model.h"
#include "tests/testing/error_of.h"

namespace gcvit::native {
namespace {

using ops::Role;
using ops::Shape;
using ops::Value;
using testing::random_parameter;
using testing::random_values;
using testing::ScalarExecutor;

constexpr int kBatch = 2;
constexpr double kTolerance = 5e-5;
/// Elements of each input and parameter that are held against differences, spread over all of them.
constexpr std::size_t kProbes = 12;

/// What an operation is made of: inputs, whose gradients are retained, and parameters.
struct Case {
  std::vector<Shape> inputs;
  std::vector<ops::Parameter*> parameters;
  int threads = 2;
  NativeBackend::Training training = {};
};

/// Holds all gradients of sum(weights * operation(inputs)) against differences.
template <typename Operation>
void expect_gradients(const Case& test, const Operation& operation) {
  std::vector<std::vector<float>> values;
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    values.push_back(random_values(kBatch * test.inputs[i].size(), 31 + static_cast<unsigned>(i)));
  }
  for (std::size_t i = 0; i < test.parameters.size(); ++i) test.parameters[i]->id = static_cast<std::int32_t>(i);

  ThreadPool pool(test.threads);
  NativeBackend native(pool);
  native.start_training(kBatch, test.training);
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    inputs.push_back(native.input(test.inputs[i], values[i]));
    native.retain_grad(inputs.back());
  }
  const Value y = operation(native, inputs);
  const std::vector<float> weights = random_values(kBatch * y.shape().size(), 99);
  const std::vector<const ops::Parameter*> parameters(test.parameters.begin(), test.parameters.end());
  ParameterVector gradients(parameters);
  std::ranges::fill(gradients.all(), 123.0f);  // written, not added to
  native.backward(y, weights, gradients);

  // The twin's value when element `element` of input `which` is moved by `step`.
  const auto twin = [&](std::size_t which, std::size_t element, double step) {
    ScalarExecutor scalar(kBatch);
    std::vector<Value> twins;
    for (std::size_t i = 0; i < test.inputs.size(); ++i) {
      twins.push_back(scalar.input(test.inputs[i], values[i]));
      if (i == which) scalar.add(twins.back(), element, step);
    }
    const std::vector<double> result = scalar.data(operation(scalar, twins));
    double sum = 0.0;
    for (std::size_t i = 0; i < result.size(); ++i) sum += weights[i] * result[i];
    return sum;
  };
  const auto compare = [](std::span<const float> found, const auto& expected_at, const std::string& what) {
    const std::size_t stride = std::max<std::size_t>(1, found.size() / kProbes);
    std::vector<float> probed;
    std::vector<double> expected;
    for (std::size_t i = 0; i < found.size(); i += stride) {
      probed.push_back(found[i]);
      expected.push_back(expected_at(i));
    }
    EXPECT_LE(testing::relative_error(probed, expected), kTolerance) << what;
  };
  for (std::size_t which = 0; which < inputs.size(); ++which) {
    constexpr double kStep = 1e-4;
    compare(
        native.gradient_of(inputs[which]),
        [&](std::size_t i) { return (twin(which, i, kStep) - twin(which, i, -kStep)) / (2 * kStep); },
        "input " + std::to_string(which));
  }
  for (ops::Parameter* parameter : test.parameters) {
    const Tensor before = parameter->tensor;
    const auto moved = [&](std::size_t i, float step) {
      std::vector<float> changed(before.values().begin(), before.values().end());
      changed[i] += step;
      parameter->tensor = Tensor::from_values(parameter->dims, changed);
      const double value = twin(inputs.size(), 0, 0.0);
      parameter->tensor = before;
      return std::pair(static_cast<double>(changed[i]), value);
    };
    compare(
        gradients.of(*parameter),
        [&](std::size_t i) {
          const auto [above, high] = moved(i, 0x1p-10f);
          const auto [below, low] = moved(i, -0x1p-10f);
          return (high - low) / (above - below);
        },
        parameter->name + " " + to_string(parameter->dims));
  }
}

TEST(OpGradient, ConvolutionOfStride2) {
  for (const Shape shape : {Shape{2, 2, 3}, Shape{6, 4, 3}, Shape{14, 14, 8}, Shape{4, 18, 17}}) {
    for (const int out : {1, 16, 23}) {
      ops::Conv3x3 convolution{random_parameter(Role::kConvolution, {out, shape.channels, 3, 3}, 3, 0.3f), {}};
      std::vector<ops::Parameter*> parameters{&convolution.weight};
      if (out % 2 == 1) {
        convolution.bias = random_parameter(Role::kBias, {out}, 4, 0.5f);
        parameters.push_back(&*convolution.bias);
      }
      expect_gradients({{shape}, parameters}, [&](auto& backend, const std::vector<Value>& x) {
        return backend.convolution3x3_stride2(x[0], convolution);
      });
    }
  }
}

TEST(OpGradient, DepthwiseConvolution) {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{2, 3, 8}, Shape{7, 7, 13}, Shape{5, 9, 64}}) {
    ops::Conv3x3 convolution{random_parameter(Role::kDepthwise, {shape.channels, 1, 3, 3}, 5, 0.4f), {}};
    for (const auto activation : {ops::Activation::kNone, ops::Activation::kGelu}) {
      expect_gradients({{shape}, {&convolution.weight}}, [&](auto& backend, const std::vector<Value>& x) {
        return backend.depthwise_convolution3x3(x[0], convolution, activation);
      });
    }
  }
}

TEST(OpGradient, LinearWithEveryEpilogueAndTail) {
  for (const int in : {1, 16, 33}) {
    for (const int out : {1, 7, 16, 50}) {
      ops::Linear linear{random_parameter(Role::kLinear, {out, in}, 6, 0.3f),
                         random_parameter(Role::kBias, {out}, 7, 0.3f)};
      ops::Linear plain{random_parameter(Role::kPointwise, {out, in, 1, 1}, 8, 0.3f), {}};
      ops::Parameter gamma = random_parameter(Role::kLayerScale, {out}, 9, 0.5f);
      const Shape shape{3, 5, in};
      expect_gradients({{shape}, {&linear.weight, &*linear.bias}},
                       [&](auto& backend, const std::vector<Value>& x) { return backend.linear(x[0], linear, {}); });
      for (const auto activation : {ops::Activation::kGelu, ops::Activation::kSigmoid}) {
        expect_gradients({{shape}, {&plain.weight}}, [&](auto& backend, const std::vector<Value>& x) {
          return backend.linear(x[0], plain, {.activation = activation});
        });
      }
      expect_gradients({{shape, {3, 5, out}}, {&plain.weight}}, [&](auto& backend, const std::vector<Value>& x) {
        const ops::Residual residual{x[1]};
        return backend.linear(x[0], plain, {.residual = &residual});
      });
      expect_gradients({{shape, {3, 5, out}}, {&linear.weight, &*linear.bias, &gamma}},
                       [&](auto& backend, const std::vector<Value>& x) {
                         const ops::Residual residual{x[1], &gamma};
                         return backend.linear(x[0], linear, {.residual = &residual});
                       });
    }
  }
}

TEST(OpGradient, LayerNorm) {
  for (const int channels : {2, 13, 64}) {
    ops::LayerNorm norm{random_parameter(Role::kNormScale, {channels}, 1, 0.3f, 1.0f),
                        random_parameter(Role::kNormShift, {channels}, 2, 0.3f)};
    // More rows than one chunk of the sums over them.
    expect_gradients({{{17, 9, channels}}, {&norm.weight, &norm.bias}},
                     [&](auto& backend, const std::vector<Value>& x) { return backend.layer_norm(x[0], norm); });
  }
}

TEST(OpGradient, PoolsAndScaling) {
  for (const Shape shape : {Shape{2, 2, 1}, Shape{4, 6, 5}, Shape{8, 8, 16}}) {
    for (const auto padding : {ops::PoolPadding::kNegativeInfinity, ops::PoolPadding::kZero}) {
      expect_gradients({{shape}, {}}, [&](auto& backend, const std::vector<Value>& x) {
        return backend.max_pool3x3_stride2(x[0], padding);
      });
    }
    expect_gradients({{shape}, {}},
                     [&](auto& backend, const std::vector<Value>& x) { return backend.global_average_pool(x[0]); });
    expect_gradients({{shape, {1, 1, shape.channels}}, {}},
                     [&](auto& backend, const std::vector<Value>& x) { return backend.scale_channels(x[0], x[1]); });
  }
}

TEST(OpGradient, ChangesOfTheMapsSides) {
  const Shape shape{3, 5, 4};
  expect_gradients({{shape}, {}},
                   [&](auto& backend, const std::vector<Value>& x) { return backend.pad_bottom_right(x[0], 4, 8); });
  expect_gradients({{shape}, {}}, [&](auto& backend, const std::vector<Value>& x) { return backend.crop(x[0], 2, 4); });
  expect_gradients({{shape}, {}},
                   [&](auto& backend, const std::vector<Value>& x) { return backend.resize_bicubic(x[0], 7, 4); });
}

struct Attention {
  ops::Window window;
  std::int32_t heads, head_dim;
};

TEST(OpGradient, WindowAttention) {
  for (const auto& [window, heads, head_dim] :
       {Attention{{1, 1}, 1, 4}, Attention{{2, 3}, 2, 8}, Attention{{3, 2}, 3, 5}, Attention{{4, 4}, 1, 32}}) {
    ops::Parameter table = random_parameter(
        Role::kBiasTable, {std::int64_t{2 * window.height - 1} * (2 * window.width - 1), heads}, 3, 0.5f);
    const std::int32_t channels = heads * head_dim;
    const Shape map{2 * window.height, 3 * window.width, 3 * channels};
    expect_gradients({{map}, {&table}}, [&, w = window, h = heads](auto& backend, const std::vector<Value>& x) {
      return backend.window_attention(x[0], nullptr, table, h, w);
    });
    expect_gradients({{{map.height, map.width, 2 * channels}, {window.height, window.width, channels}}, {&table}},
                     [&, w = window, h = heads](auto& backend, const std::vector<Value>& x) {
                       return backend.window_attention(x[0], &x[1], table, h, w);
                     });
  }
}

/// A block's sub-layers on maps of whole windows, with many positions for their channels and with few, and on one that has to
/// be padded; kept whole and computed again.
TEST(OpGradient, SublayersOfABlock) {
  constexpr std::int32_t kHeads = 2;
  constexpr int kChannels = 12;
  const ops::Window window{2, 3};
  ops::LayerNorm norm{random_parameter(Role::kNormScale, {kChannels}, 1, 0.3f, 1.0f),
                      random_parameter(Role::kNormShift, {kChannels}, 2, 0.3f)};
  ops::Parameter gamma = random_parameter(Role::kLayerScale, {kChannels}, 9, 0.5f, 0.7f);
  ops::Parameter table = random_parameter(Role::kBiasTable, {15, kHeads}, 3, 0.5f);
  const auto linear = [](int out, int in, unsigned seed) {
    return ops::Linear{random_parameter(Role::kLinear, {out, in}, seed, 0.3f),
                       random_parameter(Role::kBias, {out}, seed + 1, 0.3f)};
  };
  ops::Linear proj = linear(kChannels, kChannels, 11);
  ops::Linear fc1 = linear(36, kChannels, 13);
  ops::Linear fc2 = linear(kChannels, 36, 15);
  for (const bool recompute : {false, true}) {
    for (const bool global : {false, true}) {
      for (const Shape shape : {Shape{4, 6, kChannels}, Shape{2, 3, kChannels}, Shape{3, 7, kChannels}}) {
        ops::Linear qkv = linear((global ? 2 : 3) * kChannels, kChannels, 17);
        Case test{.inputs = {shape, {2, 3, kChannels}},
                  .parameters = {&norm.weight, &norm.bias, &qkv.weight, &*qkv.bias, &table, &proj.weight, &*proj.bias,
                                 &gamma},
                  .training = {.keeps_branch = {}, .trainable = {}, .recompute_sublayers = recompute}};
        if (!global) test.inputs.pop_back();
        expect_gradients(test, [&](auto& backend, const std::vector<Value>& x) {
          return backend.attention_sublayer(x[0], {.norm = norm,
                                                   .qkv = qkv,
                                                   .bias_table = table,
                                                   .proj = proj,
                                                   .heads = kHeads,
                                                   .window = window,
                                                   .global_query = global ? &x[1] : nullptr,
                                                   .gamma = &gamma});
        });
      }
    }
    for (const Shape shape : {Shape{3, 7, kChannels}, Shape{9, 11, kChannels}}) {
      expect_gradients(
          {.inputs = {shape},
           .parameters = {&norm.weight, &norm.bias, &fc1.weight, &*fc1.bias, &fc2.weight, &*fc2.bias, &gamma},
           .training = {.keeps_branch = {}, .trainable = {}, .recompute_sublayers = recompute}},
          [&](auto& backend, const std::vector<Value>& x) {
            return backend.mlp_sublayer(x[0], {.norm = norm, .fc1 = fc1, .fc2 = fc2, .gamma = &gamma});
          });
    }
  }
}

TEST(OpGradient, WhatIsFrozenGetsNone) {
  ops::Linear first{random_parameter(Role::kLinear, {4, 3}, 1, 0.3f), {}};
  ops::Linear second{random_parameter(Role::kLinear, {2, 4}, 2, 0.3f), {}};
  first.weight.id = 0;
  second.weight.id = 1;
  const std::vector<const ops::Parameter*> parameters{&first.weight, &second.weight};
  ParameterVector gradients(parameters);
  std::ranges::fill(gradients.all(), 5.0f);
  ThreadPool pool(1);
  NativeBackend native(pool);
  native.start_training(1, {.keeps_branch = {}, .trainable = {false, true}});
  const Value x = native.input({1, 1, 3}, random_values(3, 1));
  const Value y = native.linear(native.linear(x, first, {}), second, {});
  native.backward(y, std::vector<float>{1.0f, 1.0f}, gradients);
  for (const float value : gradients.of(first.weight)) EXPECT_EQ(value, 5.0f);
  for (const float value : gradients.of(second.weight)) EXPECT_NE(value, 5.0f);
}

TEST(OpGradient, MisuseIsSaid) {
  ops::Linear linear{random_parameter(Role::kLinear, {4, 3}, 1, 0.3f), {}};
  linear.weight.id = 0;
  const std::vector<const ops::Parameter*> parameters{&linear.weight};
  ParameterVector gradients(parameters);
  ThreadPool pool(1);
  NativeBackend native(pool);
  native.start(1);
  const Value x = native.input({1, 1, 3}, random_values(3, 1));
  const Value y = native.linear(x, linear, {});
  EXPECT_NE(testing::error_of([&] { native.backward(y, random_values(4, 1), gradients); }).find("training run"),
            std::string::npos);
  EXPECT_NE(testing::error_of([&] { native.retain_grad(x); }).find("training run"), std::string::npos);
  native.start_training(1, {});
  const Value again = native.linear(native.input({1, 1, 3}, random_values(3, 1)), linear, {});
  EXPECT_NE(
      testing::error_of([&] { native.backward(again, random_values(5, 1), gradients); }).find("4 floats, found 5"),
      std::string::npos);
  EXPECT_NE(testing::error_of([&] { static_cast<void>(native.gradient_of(again)); }).find("retained"),
            std::string::npos);
}

}  // namespace
}  // namespace gcvit::native
