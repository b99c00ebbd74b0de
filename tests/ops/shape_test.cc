// SPDX-License-Identifier: Apache-2.0
// Each operation's shape rule: what it makes, and the sentence for each thing it refuses.
#include "ops/shape.h"

#include <gtest/gtest.h>

#include "tests/ops/parameters.h"
#include "tests/testing/error_of.h"
#include "tests/testing/recording_backend.h"

namespace gcvit::ops {
namespace {

using gcvit::testing::error_of;
using gcvit::testing::RecordingBackend;
using testing::convolution;
using testing::layer_norm;
using testing::linear;
using testing::parameter;

TEST(Shape, CountsAndPrints) {
  const Shape shape{56, 28, 64};
  EXPECT_EQ(shape.positions(), 1568);
  EXPECT_EQ(shape.size(), 100352);
  EXPECT_EQ(to_string(shape), "56x28x64");
  EXPECT_EQ((Shape{100'000, 100'000, 3}.size()), 30'000'000'000);  // more than 32 bits
}

TEST(ShapeRule, ConvolutionOfStride2) {
  const Conv3x3 stem = convolution("stem", 3, 8);
  EXPECT_EQ(convolution3x3_stride2_shape({6, 10, 3}, stem), (Shape{3, 5, 8}));
  EXPECT_EQ(convolution3x3_stride2_shape({2, 2, 3}, stem), (Shape{1, 1, 8}));
  EXPECT_EQ(error_of([&] { convolution3x3_stride2_shape({6, 10, 4}, stem); }),
            "[ops] convolution3x3_stride2 \"stem\" [8, 3, 3, 3]: expected 3 input channels, found 4");
  for (const Shape& odd : {Shape{5, 10, 3}, Shape{6, 9, 3}, Shape{0, 2, 3}, Shape{2, 0, 3}}) {
    EXPECT_EQ(error_of([&] { convolution3x3_stride2_shape(odd, stem); }),
              "[ops] convolution3x3_stride2: expected a map with even height and width, found " + to_string(odd));
  }
}

TEST(ShapeRule, DepthwiseConvolution) {
  const Conv3x3 depthwise{parameter("dw", Role::kDepthwise, {16, 1, 3, 3}), std::nullopt};
  EXPECT_EQ(depthwise_convolution3x3_shape({5, 7, 16}, depthwise), (Shape{5, 7, 16}));
  EXPECT_EQ(error_of([&] { depthwise_convolution3x3_shape({5, 7, 8}, depthwise); }),
            "[ops] depthwise_convolution3x3 \"dw\" [16, 1, 3, 3]: expected 16 input channels, found 8");
}

TEST(ShapeRule, Linear) {
  RecordingBackend backend;
  const Linear fc = linear("fc", 12, 20);
  EXPECT_EQ(linear_shape({5, 7, 12}, fc, {}), (Shape{5, 7, 20}));
  const Linear pointwise{parameter("pw", Role::kPointwise, {4, 12, 1, 1}), std::nullopt};
  EXPECT_EQ(linear_shape({5, 7, 12}, pointwise, {}), (Shape{5, 7, 4}));
  EXPECT_EQ(error_of([&] { linear_shape({5, 7, 20}, fc, {}); }),
            "[ops] linear \"fc\" [20, 12]: expected 12 input channels, found 20");
  const Value same = backend.input({5, 7, 20});
  const Value other = backend.input({7, 5, 20});
  const Residual fits{same};
  const Residual transposed{other};
  EXPECT_EQ(linear_shape({5, 7, 12}, fc, {.residual = &fits}), (Shape{5, 7, 20}));
  EXPECT_EQ(error_of([&] { linear_shape({5, 7, 12}, fc, {.residual = &transposed}); }),
            "[ops] linear \"fc\": expected a residual of 5x7x20, found 7x5x20");
}

TEST(ShapeRule, LayerNorm) {
  EXPECT_EQ(layer_norm_shape({5, 7, 6}, layer_norm("norm", 6)), (Shape{5, 7, 6}));
  EXPECT_EQ(error_of([] { layer_norm_shape({5, 7, 6}, layer_norm("norm", 8)); }),
            "[ops] layer_norm \"norm\" [8]: expected 8 input channels, found 6");
}

TEST(ShapeRule, Pools) {
  EXPECT_EQ(max_pool3x3_stride2_shape({8, 6, 5}), (Shape{4, 3, 5}));
  EXPECT_EQ(error_of([] { max_pool3x3_stride2_shape({7, 6, 5}); }),
            "[ops] max_pool3x3_stride2: expected a map with even height and width, found 7x6x5");
  EXPECT_EQ(global_average_pool_shape({7, 5, 9}), (Shape{1, 1, 9}));
}

TEST(ShapeRule, ScaleChannels) {
  EXPECT_EQ(scale_channels_shape({4, 5, 6}, {1, 1, 6}), (Shape{4, 5, 6}));
  for (const Shape& wrong : {Shape{1, 1, 5}, Shape{4, 5, 6}}) {
    EXPECT_EQ(error_of([&] { scale_channels_shape({4, 5, 6}, wrong); }),
              "[ops] scale_channels: expected a scale of 1x1x6, found " + to_string(wrong));
  }
}

TEST(ShapeRule, WindowAttention) {
  const Parameter table = parameter("table", Role::kBiasTable, {15, 4});  // 2x3 windows: 3 * 5 offsets
  constexpr Window kWindow{2, 3};
  const Shape query{2, 3, 8};
  EXPECT_EQ(window_attention_shape({4, 9, 24}, nullptr, table, 4, kWindow), (Shape{4, 9, 8}));
  EXPECT_EQ(window_attention_shape({4, 9, 16}, &query, table, 4, kWindow), (Shape{4, 9, 8}));
  const auto sentence = [&](const Shape& qkv, const Shape* q, std::int32_t heads, Window window) {
    return error_of([&] { window_attention_shape(qkv, q, table, heads, window); });
  };
  EXPECT_EQ(sentence({4, 9, 25}, nullptr, 4, kWindow),
            "[ops] window_attention \"table\": expected channels in 3 parts of 4 heads, found 25");
  EXPECT_EQ(sentence({4, 9, 20}, &query, 4, kWindow),
            "[ops] window_attention \"table\": expected channels in 2 parts of 4 heads, found 20");
  for (const std::int32_t heads : {0, -4}) {
    EXPECT_EQ(sentence({4, 9, 24}, nullptr, heads, kWindow).substr(0, 30), "[ops] window_attention \"table\"");
  }
  EXPECT_EQ(sentence({4, 8, 24}, nullptr, 4, kWindow),
            "[ops] window_attention \"table\": a map of 4x8 is not made of whole 2x3 windows");
  EXPECT_EQ(sentence({5, 9, 24}, nullptr, 4, kWindow),
            "[ops] window_attention \"table\": a map of 5x9 is not made of whole 2x3 windows");
  EXPECT_EQ(sentence({4, 9, 24}, nullptr, 4, {0, 3}),
            "[ops] window_attention \"table\": a map of 4x9 is not made of whole 0x3 windows");
  EXPECT_EQ(sentence({4, 9, 24}, nullptr, 4, {2, 9}),
            "[ops] window_attention \"table\": expected a bias table of [51, 4], found [15, 4]");
  EXPECT_EQ(sentence({4, 9, 24}, nullptr, 2, kWindow),
            "[ops] window_attention \"table\": expected a bias table of [15, 2], found [15, 4]");
  const Shape transposed{3, 2, 8};
  EXPECT_EQ(sentence({4, 9, 16}, &transposed, 4, kWindow),
            "[ops] window_attention \"table\": expected a global query of 2x3x8, found 3x2x8");
}

TEST(ShapeRule, PaddingAndCropping) {
  EXPECT_EQ(pad_bottom_right_shape({4, 9, 5}, 4, 12), (Shape{4, 12, 5}));
  for (const Window smaller : {Window{3, 12}, Window{6, 8}}) {
    EXPECT_EQ(error_of([&] { pad_bottom_right_shape({4, 9, 5}, smaller.height, smaller.width); }),
              fmt::format("[ops] pad_bottom_right: expected at least 4x9, found {}x{}", smaller.height, smaller.width));
  }
  EXPECT_EQ(crop_shape({4, 12, 5}, 4, 9), (Shape{4, 9, 5}));
  for (const Window wrong : {Window{5, 9}, Window{4, 13}, Window{0, 9}, Window{4, 0}}) {
    EXPECT_EQ(error_of([&] { crop_shape({4, 12, 5}, wrong.height, wrong.width); }),
              fmt::format("[ops] crop: expected 1x1 to 4x12, found {}x{}", wrong.height, wrong.width));
  }
}

TEST(ShapeRule, ResizingBicubically) {
  EXPECT_EQ(resize_bicubic_shape({8, 10, 5}, 7, 14), (Shape{7, 14, 5}));
  EXPECT_EQ(error_of([] { resize_bicubic_shape({8, 10, 5}, 0, 7); }),
            "[ops] resize_bicubic: expected maps with a position, found 8x10 to be resized to 0x7");
  EXPECT_EQ(error_of([] { resize_bicubic_shape({8, 0, 5}, 7, 7); }),
            "[ops] resize_bicubic: expected maps with a position, found 8x0 to be resized to 7x7");
}

TEST(ShapeRule, WholeWindows) {
  EXPECT_EQ(whole_windows({4, 9, 5}, {2, 3}), (Shape{4, 9, 5}));
  EXPECT_EQ(whole_windows({4, 9, 5}, {3, 2}), (Shape{6, 10, 5}));
  EXPECT_EQ(whole_windows({1, 1, 5}, {7, 14}), (Shape{7, 14, 5}));
  EXPECT_EQ(whole_windows({4, 9, 5}, {0, 7}), (Shape{4, 9, 5})) << "no windows: nothing to round to";
}

TEST(ShapeRule, SublayersOfABlock) {
  RecordingBackend backend;
  const LayerNorm norm = layer_norm("norm", 8);
  const Linear qkv = linear("qkv", 8, 24);
  const Linear key_value = linear("kv", 8, 16);
  const Parameter table = parameter("table", Role::kBiasTable, {9, 2});
  const Linear proj = linear("proj", 8, 8);
  const Linear narrow = linear("narrow", 8, 4);
  const Value query = backend.input({2, 2, 8});
  const AttentionSublayer local{
      .norm = norm, .qkv = qkv, .bias_table = table, .proj = proj, .heads = 2, .window = {2, 2}};
  EXPECT_EQ(attention_sublayer_shape({4, 6, 8}, local), (Shape{4, 6, 8}));
  const AttentionSublayer global{.norm = norm,
                                 .qkv = key_value,
                                 .bias_table = table,
                                 .proj = proj,
                                 .heads = 2,
                                 .window = {2, 2},
                                 .global_query = &query};
  EXPECT_EQ(attention_sublayer_shape({4, 6, 8}, global), (Shape{4, 6, 8}));
  EXPECT_EQ(attention_sublayer_shape({3, 1, 8}, global), (Shape{3, 1, 8})) << "padded to 4x2 and cropped";
  const AttentionSublayer broken{
      .norm = norm, .qkv = qkv, .bias_table = table, .proj = narrow, .heads = 2, .window = {2, 2}};
  EXPECT_EQ(error_of([&] { attention_sublayer_shape({4, 6, 8}, broken); }),
            "[ops] attention_sublayer \"narrow\": expected an output of 4x6x8");
  EXPECT_EQ(error_of([&] { attention_sublayer_shape({4, 6, 12}, local); }),
            "[ops] layer_norm \"norm\" [8]: expected 8 input channels, found 12");

  const Linear fc1 = linear("fc1", 8, 20);
  const Linear fc2 = linear("fc2", 20, 8);
  const Linear wide = linear("wide", 20, 16);
  EXPECT_EQ(mlp_sublayer_shape({4, 6, 8}, {.norm = norm, .fc1 = fc1, .fc2 = fc2}), (Shape{4, 6, 8}));
  EXPECT_EQ(error_of([&] { mlp_sublayer_shape({4, 6, 8}, {.norm = norm, .fc1 = fc1, .fc2 = wide}); }),
            "[ops] mlp_sublayer \"wide\": expected an output of 4x6x8");
  EXPECT_EQ(error_of([&] { mlp_sublayer_shape({4, 6, 8}, {.norm = norm, .fc1 = fc1, .fc2 = narrow}); }),
            "[ops] linear \"narrow\" [4, 8]: expected 8 input channels, found 20");
}

}  // namespace
}  // namespace gcvit::ops
