// SPDX-License-Identifier: Apache-2.0
// Every operation of the native backend against its scalar twin, and whole models against theirs.
#include "native/native_backend.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/testing/scalar_executor.h"
#include "tests/native/test_model.h"

namespace gcvit::native {
namespace {

using ops::Role;
using ops::Shape;
using ops::Value;
using testing::random_parameter;
using testing::random_values;
using testing::ScalarExecutor;

constexpr double kTolerance = 2e-6;

/// Runs `operation` on the native backend and its twin with the same random input of two images.
template <typename Operation>
void expect_equal(const Shape& shape, const Operation& operation, double tolerance = kTolerance, int threads = 2) {
  constexpr int kBatch = 2;
  const std::vector<float> values = random_values(kBatch * shape.size(), 17);
  ThreadPool pool(threads);
  NativeBackend native(pool);
  native.start(kBatch);
  ScalarExecutor scalar(kBatch);
  const Value found = operation(native, native.input(shape, values));
  const Value expected = operation(scalar, scalar.input(shape, values));
  ASSERT_EQ(found.shape(), expected.shape());
  EXPECT_LE(testing::relative_error(native.read(found), scalar.data(expected)), tolerance) << to_string(shape);
}

TEST(NativeBackend, ConvolutionOfStride2) {
  for (const Shape shape : {Shape{2, 2, 3}, Shape{6, 4, 3}, Shape{14, 14, 8}, Shape{4, 130, 5}, Shape{28, 28, 16}}) {
    for (const int out : {1, 7, 16, 40}) {
      ops::Conv3x3 convolution{random_parameter(Role::kConvolution, {out, shape.channels, 3, 3}, 3, 0.3f), {}};
      if (out % 2 == 1) convolution.bias = random_parameter(Role::kBias, {out}, 4, 0.5f);
      expect_equal(shape,
                   [&](auto& backend, const Value& x) { return backend.convolution3x3_stride2(x, convolution); });
    }
  }
}

TEST(NativeBackend, DepthwiseConvolution) {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{2, 3, 8}, Shape{7, 7, 13}, Shape{5, 9, 64}}) {
    const ops::Conv3x3 convolution{random_parameter(Role::kDepthwise, {shape.channels, 1, 3, 3}, 5, 0.4f), {}};
    for (const auto activation : {ops::Activation::kNone, ops::Activation::kGelu}) {
      expect_equal(shape, [&](auto& backend, const Value& x) {
        return backend.depthwise_convolution3x3(x, convolution, activation);
      });
    }
  }
}

TEST(NativeBackend, LinearWithEveryEpilogueAndTail) {
  for (const int in : {1, 5, 16, 33}) {
    for (int out = 1; out <= 67; out += 3) {
      const ops::Linear linear{random_parameter(Role::kLinear, {out, in}, 6, 0.3f),
                               random_parameter(Role::kBias, {out}, 7, 0.3f)};
      const ops::Linear plain{random_parameter(Role::kPointwise, {out, in, 1, 1}, 8, 0.3f), {}};
      const ops::Parameter gamma = random_parameter(Role::kLayerScale, {out}, 9, 0.5f);
      const Shape shape{3, 5, in};
      const auto residual_input = [&](auto& backend) {
        return backend.input({3, 5, out}, random_values(2 * 15 * out, 10));
      };
      expect_equal(shape, [&](auto& backend, const Value& x) { return backend.linear(x, linear, {}); });
      for (const auto activation : {ops::Activation::kGelu, ops::Activation::kSigmoid}) {
        expect_equal(
            shape, [&](auto& backend, const Value& x) { return backend.linear(x, plain, {.activation = activation}); });
      }
      for (const ops::Parameter* factor : {static_cast<const ops::Parameter*>(nullptr), &gamma}) {
        expect_equal(shape, [&](auto& backend, const Value& x) {
          const Value input = residual_input(backend);
          const ops::Residual residual{input, factor};
          return backend.linear(x, linear, {.residual = &residual});
        });
      }
    }
  }
}

TEST(NativeBackend, LayerNormOfEveryWidth) {
  for (int channels = 1; channels <= 70; ++channels) {
    const ops::LayerNorm norm{random_parameter(Role::kNormScale, {channels}, 11, 0.3f, 1.0f),
                              random_parameter(Role::kNormShift, {channels}, 12, 0.3f)};
    expect_equal({3, 4, channels}, [&](auto& backend, const Value& x) { return backend.layer_norm(x, norm); });
  }
}

TEST(NativeBackend, MaxPoolSeesItsPadding) {
  for (const Shape shape : {Shape{2, 2, 1}, Shape{4, 6, 9}, Shape{14, 14, 32}}) {
    for (const auto padding : {ops::PoolPadding::kZero, ops::PoolPadding::kNegativeInfinity}) {
      expect_equal(shape, [&](auto& backend, const Value& x) { return backend.max_pool3x3_stride2(x, padding); }, 0.0);
    }
  }
  // On a map that is negative everywhere zero padding gives zeros along the upper and left border, and only there.
  ThreadPool pool(1);
  NativeBackend native(pool);
  native.start(1);
  const std::vector<float> negative(16, -2.0f);
  const Value x = native.input({4, 4, 1}, negative);
  const Value zero = native.max_pool3x3_stride2(x, ops::PoolPadding::kZero);
  const Value infinite = native.max_pool3x3_stride2(x, ops::PoolPadding::kNegativeInfinity);
  const auto zero_values = native.read(zero);
  EXPECT_EQ(std::vector<float>(zero_values.begin(), zero_values.end()), (std::vector<float>{0, 0, 0, -2}));
  for (const float value : native.read(infinite)) EXPECT_EQ(value, -2.0f);
}

TEST(NativeBackend, PoolingAndScaling) {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{7, 7, 19}, Shape{56, 56, 8}}) {
    expect_equal(shape, [](auto& backend, const Value& x) { return backend.global_average_pool(x); }, 1e-5);
    expect_equal(
        shape,
        [](auto& backend, const Value& x) {
          const Value mean = backend.global_average_pool(x);
          return backend.scale_channels(x, mean);
        },
        1e-5);
  }
}

struct AttentionCase {
  Shape map;
  int heads;
  ops::Window window;
};

std::vector<AttentionCase> attention_cases() {
  return {{{2, 2, 4}, 1, {1, 1}},      {{4, 4, 8}, 2, {2, 2}},  {{6, 6, 12}, 3, {3, 3}},
          {{4, 6, 16}, 2, {2, 3}},     {{7, 7, 64}, 2, {7, 7}}, {{14, 14, 32}, 1, {7, 7}},
          {{14, 14, 64}, 2, {14, 14}}, {{5, 9, 15}, 3, {5, 3}}, {{16, 16, 24}, 3, {16, 16}}};
}

/// Maps that are padded to whole windows: at the bottom, on the right, both, and smaller than a window.
std::vector<AttentionCase> padded_attention_cases() {
  return {{{5, 4, 8}, 2, {2, 2}}, {{4, 5, 16}, 2, {2, 3}}, {{10, 8, 32}, 1, {7, 7}}, {{1, 2, 12}, 3, {3, 3}}};
}

TEST(NativeBackend, PaddingAndCropping) {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{4, 3, 5}, Shape{7, 10, 16}}) {
    for (const int down : {0, 3}) {
      for (const int right : {0, 2}) {
        const std::int32_t height = shape.height + down;
        const std::int32_t width = shape.width + right;
        expect_equal(
            shape, [&](auto& backend, const Value& x) { return backend.pad_bottom_right(x, height, width); }, 0.0);
        expect_equal(
            {height, width, shape.channels},
            [&](auto& backend, const Value& x) { return backend.crop(x, shape.height, shape.width); }, 0.0);
      }
    }
  }
}

TEST(NativeBackend, ResizingBicubically) {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{1, 6, 3}, Shape{5, 1, 2}, Shape{7, 8, 16}, Shape{14, 10, 5}}) {
    for (const ops::Window size : {ops::Window{1, 1}, ops::Window{7, 7}, ops::Window{3, 16}}) {
      expect_equal(shape,
                   [&](auto& backend, const Value& x) { return backend.resize_bicubic(x, size.height, size.width); });
    }
    expect_equal(
        shape, [&](auto& backend, const Value& x) { return backend.resize_bicubic(x, shape.height, shape.width); },
        0.0);
  }
}

TEST(NativeBackend, WindowAttention) {
  for (const AttentionCase& c : attention_cases()) {
    const ops::Parameter table =
        random_parameter(Role::kBiasTable, {(2 * c.window.height - 1) * (2 * c.window.width - 1), c.heads}, 13, 0.7f);
    Shape qkv = c.map;
    qkv.channels *= 3;
    expect_equal(qkv, [&](auto& backend, const Value& x) {
      return backend.window_attention(x, nullptr, table, c.heads, c.window);
    });
    qkv.channels = 2 * c.map.channels;
    const Shape query{c.window.height, c.window.width, c.map.channels};
    expect_equal(qkv, [&](auto& backend, const Value& x) {
      const Value q = backend.input(query, random_values(2 * query.size(), 14));
      return backend.window_attention(x, &q, table, c.heads, c.window);
    });
  }
}

TEST(NativeBackend, SublayersAreTheirCompositions) {
  std::vector<AttentionCase> cases = attention_cases();
  for (const AttentionCase& padded : padded_attention_cases()) cases.push_back(padded);
  for (const AttentionCase& c : cases) {
    const std::int64_t channels = c.map.channels;
    const ops::LayerNorm norm{random_parameter(Role::kNormScale, {channels}, 15, 0.3f, 1.0f),
                              random_parameter(Role::kNormShift, {channels}, 16, 0.3f)};
    const ops::Parameter table =
        random_parameter(Role::kBiasTable, {(2 * c.window.height - 1) * (2 * c.window.width - 1), c.heads}, 17, 0.7f);
    const ops::Linear proj{random_parameter(Role::kLinear, {channels, channels}, 18, 0.3f),
                           random_parameter(Role::kBias, {channels}, 19, 0.3f)};
    const ops::Parameter gamma = random_parameter(Role::kLayerScale, {channels}, 20, 0.5f);
    const ops::Linear fc1{random_parameter(Role::kLinear, {3 * channels, channels}, 21, 0.2f),
                          random_parameter(Role::kBias, {3 * channels}, 22, 0.3f)};
    const ops::Linear fc2{random_parameter(Role::kLinear, {channels, 3 * channels}, 23, 0.2f),
                          random_parameter(Role::kBias, {channels}, 24, 0.3f)};
    const Shape query{c.window.height, c.window.width, c.map.channels};
    // One thread always runs the tile loop; seven never have enough windows and run the stages.
    for (const int threads : {1, 7}) {
      for (const int parts : {3, 2}) {
        const ops::Linear qkv{random_parameter(Role::kLinear, {parts * channels, channels}, 25, 0.3f),
                              random_parameter(Role::kBias, {parts * channels}, 26, 0.3f)};
        expect_equal(
            c.map,
            [&](auto& backend, const Value& x) {
              const Value q = backend.input(query, random_values(2 * query.size(), 27));
              return backend.attention_sublayer(x, {.norm = norm,
                                                    .qkv = qkv,
                                                    .bias_table = table,
                                                    .proj = proj,
                                                    .heads = c.heads,
                                                    .window = c.window,
                                                    .global_query = parts == 2 ? &q : nullptr,
                                                    .gamma = parts == 2 ? &gamma : nullptr});
            },
            kTolerance, threads);
      }
      for (const ops::Parameter* factor : {static_cast<const ops::Parameter*>(nullptr), &gamma}) {
        expect_equal(
            c.map,
            [&](auto& backend, const Value& x) {
              return backend.mlp_sublayer(x, {.norm = norm, .fc1 = fc1, .fc2 = fc2, .gamma = factor});
            },
            kTolerance, threads);
      }
    }
  }
}

TEST(NativeBackend, WholeModelsEqualTheirTwins) {
  for (const bool layer_scale : {false, true}) {
    for (const auto padding : {ops::PoolPadding::kZero, ops::PoolPadding::kNegativeInfinity}) {
      model::GCViTConfig config = testing::tiny_config();
      config.layer_scale = layer_scale;
      config.pool_padding = padding;
      model::GCViT model(config);
      testing::fill_alive(model, 31);
      expect_equal({64, 64, 3}, [&](auto& backend, const Value& x) { return model.forward(backend, x); }, 1e-5);
    }
  }
}

TEST(NativeBackend, WholeModelsEqualTheirTwinsWhereMapsArePaddedToWindows) {
  model::GCViTConfig config = testing::fixed_window_config();
  config.layer_scale = true;
  model::GCViT model(config);
  testing::fill_alive(model, 32);
  expect_equal({96, 160, 3}, [&](auto& backend, const Value& x) { return model.forward(backend, x); }, 1e-5);
}

TEST(NativeBackend, RepacksWhenAParameterChanges) {
  ops::Linear linear{random_parameter(Role::kLinear, {3, 3}, 1, 1.0f), {}};
  ThreadPool pool(1);
  NativeBackend native(pool);
  native.start(1);
  const std::vector<float> ones(3, 1.0f);
  const Value x = native.input({1, 1, 3}, ones);
  const float before = native.read(native.linear(x, linear, {}))[0];
  std::vector<float> doubled(linear.weight.tensor.values().begin(), linear.weight.tensor.values().end());
  for (float& value : doubled) value *= 2.0f;
  linear.weight.tensor = Tensor::from_values({3, 3}, doubled);
  ++linear.weight.version;
  EXPECT_EQ(native.read(native.linear(x, linear, {}))[0], 2.0f * before);
}

TEST(NativeBackend, RefusesWhatItCannotRun) {
  ThreadPool pool(1);
  NativeBackend native(pool);
  EXPECT_THROW(native.start(0), Error);
  EXPECT_THROW(native.input({1, 1, 3}, {}), Error);
  native.start(2);
  const std::vector<float> values(3);
  EXPECT_THROW(native.input({1, 1, 3}, values), Error);
  ops::Linear empty{ops::Parameter(Role::kLinear, {2, 3}), {}};
  empty.weight.id = 0;
  const std::vector<float> two_images(6);
  const Value x = native.input({1, 1, 3}, two_images);
  EXPECT_THROW(native.linear(x, empty, {}), Error);
  EXPECT_THROW(native.linear(x, empty, {}), Error) << "it has not become packed by the first try";
}

}  // namespace
}  // namespace gcvit::native
