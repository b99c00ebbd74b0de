// SPDX-License-Identifier: Apache-2.0
// The compositions that fused operations stand for, and the life of values.
#include "ops/backend.h"

#include <gtest/gtest.h>

#include "tests/ops/parameters.h"
#include "tests/testing/recording_backend.h"

namespace gcvit::ops {
namespace {

using gcvit::testing::RecordingBackend;
using Lines = std::vector<std::string>;

class Composition : public ::testing::Test {
 protected:
  RecordingBackend backend_;
  LayerNorm norm_ = testing::layer_norm("norm", 8);
  Parameter table_ = testing::parameter("table", Role::kBiasTable, {9, 2});
  Linear proj_ = testing::linear("proj", 8, 8);
  Parameter gamma_ = testing::parameter("gamma", Role::kLayerScale, {8});
  Value x_ = backend_.input({4, 6, 8});
  Value query_ = backend_.input({2, 2, 8});
};

TEST_F(Composition, LocalAttentionSublayer) {
  const Linear qkv = testing::linear("qkv", 8, 24);
  const Value y = backend_.attention_sublayer(
      x_, {.norm = norm_, .qkv = qkv, .bias_table = table_, .proj = proj_, .heads = 2, .window = {2, 2}});
  EXPECT_EQ(y.shape(), x_.shape());
  EXPECT_EQ(backend_.lines,
            (Lines{"v2 = layer_norm(v0, norm)", "v3 = linear(v2, qkv)",
                   "v4 = window_attention(v3, table, 2 heads, 2x2)", "v5 = linear(v4, proj, residual v0)"}));
}

TEST_F(Composition, GlobalAttentionSublayerWithLayerScaleAndDropPath) {
  const Linear key_value = testing::linear("kv", 8, 16);
  backend_.attention_sublayer(x_, {.norm = norm_,
                                   .qkv = key_value,
                                   .bias_table = table_,
                                   .proj = proj_,
                                   .heads = 2,
                                   .window = {2, 2},
                                   .global_query = &query_,
                                   .gamma = &gamma_,
                                   .drop_path = 0.25f});
  EXPECT_EQ(backend_.lines, (Lines{"v2 = layer_norm(v0, norm)", "v3 = linear(v2, kv)",
                                   "v4 = window_attention(v3, table, query v1, 2 heads, 2x2)",
                                   "v5 = linear(v4, proj, residual v0, gamma gamma, drop_path 0.25)"}));
}

TEST_F(Composition, AttentionSublayerOfAMapThatIsPaddedToWholeWindows) {
  const Linear qkv = testing::linear("qkv", 8, 24);
  const Parameter table = testing::parameter("table", Role::kBiasTable, {35, 2});
  const Value y = backend_.attention_sublayer(
      x_, {.norm = norm_, .qkv = qkv, .bias_table = table, .proj = proj_, .heads = 2, .window = {3, 4}});
  EXPECT_EQ(y.shape(), x_.shape());
  EXPECT_EQ(backend_.lines, (Lines{"v2 = layer_norm(v0, norm)", "v3 = pad_bottom_right(v2, 6x8)",
                                   "v4 = linear(v3, qkv)", "v5 = window_attention(v4, table, 2 heads, 3x4)",
                                   "v6 = crop(v5, 4x6)", "v7 = linear(v6, proj, residual v0)"}));
}

TEST_F(Composition, MlpSublayer) {
  const Linear fc1 = testing::linear("fc1", 8, 24);
  const Linear fc2 = testing::linear("fc2", 24, 8);
  backend_.mlp_sublayer(x_, {.norm = norm_, .fc1 = fc1, .fc2 = fc2, .gamma = &gamma_, .drop_path = 0.5f});
  EXPECT_EQ(backend_.lines, (Lines{"v2 = layer_norm(v0, norm)", "v3 = linear(v2, fc1, gelu)",
                                   "v4 = linear(v3, fc2, residual v0, gamma gamma, drop_path 0.5)"}));
  EXPECT_EQ(backend_.handles, (std::vector<int>{1, 1, 0, 0, 0})) << "what nobody holds any more is free";
}

TEST(Scope, EntersAndLeaves) {
  RecordingBackend backend;
  {
    const Scope outer(backend, "levels.0", "Level");
    const Scope inner(backend, "norm", "LayerNorm");
  }
  EXPECT_EQ(backend.lines, (Lines{"enter levels.0 Level", "enter norm LayerNorm", "leave", "leave"}));
}

TEST(Value, CountsItsHandles) {
  RecordingBackend backend;
  const Value empty;
  EXPECT_TRUE(empty.empty());
  Value first = backend.input({1, 2, 3});
  Value second = backend.input({4, 5, 6});
  {
    const Value copy = first;
    EXPECT_EQ(copy.id(), first.id());
    EXPECT_EQ(copy.shape(), first.shape());
    EXPECT_EQ(backend.handles, (std::vector<int>{2, 1}));
  }
  EXPECT_EQ(backend.handles, (std::vector<int>{1, 1}));
  Value moved = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): what a move leaves behind is the question
  EXPECT_EQ(backend.handles, (std::vector<int>{1, 1}));
  moved = second;
  EXPECT_EQ(backend.handles, (std::vector<int>{0, 2}));
  const Value& itself = moved;
  moved = itself;
  EXPECT_EQ(backend.handles, (std::vector<int>{0, 2}));
  moved = Value();
  second = Value();
  EXPECT_EQ(backend.handles, (std::vector<int>{0, 0}));
}

}  // namespace
}  // namespace gcvit::ops
