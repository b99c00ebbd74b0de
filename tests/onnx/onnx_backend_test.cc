// SPDX-License-Identifier: Apache-2.0
#include "onnx/onnx_backend.h"

#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <iterator>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "native/native_backend.h"
#include "tests/native/test_model.h"
#include "tests/onnx/exported.h"
#include "tests/onnx/interpreter.h"
#include "tests/testing/error_of.h"
#include "tests/testing/faults.h"

namespace gcvit::onnx {
namespace {

using model::GCViTConfig;
using testing::alive;
using testing::difference;
using testing::error_of;
using testing::exported;
using testing::parse;
using testing::planes;
using testing::record;

GCViTConfig rectangular() {
  GCViTConfig config = testing::tiny_config();
  config.image_height = 64;
  config.image_width = 128;
  config.windows = {{{4, 8}, {2, 4}, {4, 8}, {1, 2}}};
  return config;
}

TEST(OnnxBackend, ComputesTheModelsLogits) {
  std::unique_ptr<model::GCViT> model;
  for (const bool layer_scale : {false, true}) {
    for (const ops::PoolPadding padding : {ops::PoolPadding::kNegativeInfinity, ops::PoolPadding::kZero}) {
      GCViTConfig config = testing::tiny_config();
      config.layer_scale = layer_scale;
      config.pool_padding = padding;
      const ::onnx::ModelProto graph = exported(alive(model, config));
      for (const std::int32_t batch : {1, 5}) EXPECT_LT(difference(*model, graph, batch), 1e-5) << layer_scale << batch;
    }
  }
}

TEST(OnnxBackend, ComputesModelsOfRectangularWindows) {
  std::unique_ptr<model::GCViT> model;
  const ::onnx::ModelProto graph = exported(alive(model, rectangular()));
  for (const std::int32_t batch : {1, 5}) EXPECT_LT(difference(*model, graph, batch), 1e-5);
}

TEST(OnnxBackend, ThePaddingsOfThePoolDiffer) {
  std::unique_ptr<model::GCViT> model;
  GCViTConfig config = testing::tiny_config();
  const ::onnx::ModelProto graph = exported(alive(model, config));
  config.pool_padding = ops::PoolPadding::kZero;
  EXPECT_GT(difference(alive(model, config), graph, 1), 1e-4);
}

TEST(OnnxBackend, OlderOpsetsHaveNoLayerNormalization) {
  std::unique_ptr<model::GCViT> model;
  alive(model, testing::tiny_config());
  for (const std::int32_t opset : {13, 16}) {
    const ::onnx::ModelProto graph = exported(*model, {.opset = opset});
    EXPECT_EQ(graph.opset_import(0).version(), opset);
    for (const ::onnx::NodeProto& node : graph.graph().node()) EXPECT_NE(node.op_type(), "LayerNormalization");
    EXPECT_LT(difference(*model, graph, 2), 1e-5) << opset;
  }
}

TEST(OnnxBackend, FormatVersionsFollowTheOpset) {
  std::unique_ptr<model::GCViT> model;
  alive(model, testing::tiny_config());
  // Of ONNX's own table, onnx/helper.py: VERSION_TABLE.
  const std::map<std::int32_t, std::int64_t> formats{{13, 7}, {14, 7},  {15, 8},  {17, 8},  {18, 8},  {19, 9},
                                                     {20, 9}, {21, 10}, {22, 10}, {23, 11}, {24, 12}, {25, 13}};
  for (const auto& [opset, format] : formats) {
    const ::onnx::ModelProto graph = exported(*model, {.opset = opset});
    EXPECT_EQ(graph.opset_import(0).version(), opset);
    EXPECT_EQ(graph.ir_version(), format) << opset;
  }
  for (const std::int32_t opset : {0, 12, 26}) {
    EXPECT_EQ(error_of([&] { OnnxBackend backend({.opset = opset}); }),
              "[onnx] opset: expected 13 to 25, found " + std::to_string(opset));
  }
}

TEST(OnnxBackend, EveryShapeIsWrittenAndTrue) {
  for (const GCViTConfig& config : {testing::tiny_config(), rectangular()}) {
    std::unique_ptr<model::GCViT> model;
    ::onnx::ModelProto graph = exported(alive(model, config));
    std::set<std::string> described;
    for (const auto& info : graph.graph().value_info()) described.insert(info.name());
    for (const auto& info : graph.graph().output()) described.insert(info.name());
    for (const ::onnx::NodeProto& node : graph.graph().node())
      EXPECT_TRUE(described.contains(node.output(0))) << node.name();
    EXPECT_EQ(described.size(), static_cast<std::size_t>(graph.graph().node_size()));
    // Strict: what the operators infer must agree with what is written.
    EXPECT_NO_THROW(::onnx::shape_inference::InferShapes(graph, ::onnx::OpSchemaRegistry::Instance(), {true, 1, true}));

    constexpr std::int64_t kBatch = 3;
    testing::Array input({kBatch, 3, config.image_height, config.image_width});
    testing::OnnxInterpreter interpreter(graph);
    interpreter.run("images", input, "logits");
    for (const auto& info : graph.graph().value_info()) {
      const Dims& found = interpreter.value(info.name()).dims;
      const auto& shape = info.type().tensor_type().shape();
      ASSERT_EQ(static_cast<std::size_t>(shape.dim_size()), found.size()) << info.name();
      const std::string& first = shape.dim(0).dim_param();
      ASSERT_EQ(first.substr(0, 1), "N");
      EXPECT_EQ(first == "N" ? kBatch : kBatch * std::stoll(first.substr(2)), found[0]) << info.name();
      for (int axis = 1; axis < shape.dim_size(); ++axis) {
        EXPECT_EQ(shape.dim(axis).dim_value(), found[static_cast<std::size_t>(axis)]) << info.name();
      }
    }
  }
}

TEST(OnnxBackend, NamesAreUniqueAndReadable) {
  std::unique_ptr<model::GCViT> model;
  const ::onnx::ModelProto graph = exported(alive(model, testing::tiny_config()));
  std::map<std::string, std::string> ops;
  for (const ::onnx::NodeProto& node : graph.graph().node()) {
    EXPECT_TRUE(ops.emplace(node.name(), node.op_type()).second) << node.name();
  }
  const std::map<std::string, std::string> some{{"patch_embed/proj", "Conv"},
                                                {"patch_embed/conv_down/conv/depthwise", "Conv"},
                                                {"level1/global_query/1/conv/mean", "GlobalAveragePool"},
                                                {"level1/global_query/1/conv/squeeze", "Gemm"},
                                                {"level1/global_query/1/conv/excite/sigmoid", "Sigmoid"},
                                                {"level1/block0/norm1", "LayerNormalization"},
                                                {"level1/block0/attention/q", "Gemm"},
                                                {"level1/block0/attention/softmax", "Softmax"},
                                                {"level1/block1/attention/proj", "Gemm"},
                                                {"level2/block1/mlp/fc1/gelu/erf", "Erf"},
                                                {"level3/downsample/reduction", "Conv"},
                                                {"norm", "LayerNormalization"},
                                                {"head", "Gemm"}};
  for (const auto& [name, op] : some) EXPECT_EQ(ops[name], op) << name;
  EXPECT_FALSE(ops.contains("level1/block1/attention/q"));  // global queries come from the generator
}

TEST(OnnxBackend, InitialisersHaveCanonicalNamesAndAreUsed) {
  std::unique_ptr<model::GCViT> model;
  GCViTConfig config = testing::tiny_config();
  config.layer_scale = true;
  const ::onnx::ModelProto graph = exported(alive(model, config));
  std::set<std::string> used;
  for (const ::onnx::NodeProto& node : graph.graph().node()) used.insert(node.input().begin(), node.input().end());
  std::map<std::string, Dims> dims;
  for (const ::onnx::TensorProto& tensor : graph.graph().initializer()) {
    EXPECT_TRUE(used.contains(tensor.name())) << tensor.name();
    EXPECT_TRUE(dims.emplace(tensor.name(), Dims(tensor.dims().begin(), tensor.dims().end())).second) << tensor.name();
  }
  const std::map<std::string, Dims> some{{"patch_embed.proj.weight", {8, 3, 3, 3}},
                                         {"levels.0.blocks.0.attn.qkv.weight_q", {8, 8}},
                                         {"levels.0.blocks.0.attn.qkv.bias_v", {8}},
                                         {"levels.0.blocks.0.attn.relative_position_bias", {1, 1, 16, 16}},
                                         {"levels.0.blocks.0.attn.proj.weight_times_gamma1", {8, 8}},
                                         {"levels.0.blocks.0.mlp.fc2.bias_times_gamma2", {8}},
                                         {"levels.0.blocks.0.norm1.weight", {8}},
                                         {"head.weight", {config.classes, 64}}};
  for (const auto& [name, expected] : some) EXPECT_EQ(dims[name], expected) << name;
}

TEST(OnnxBackend, TheGraphIsLean) {
  std::unique_ptr<model::GCViT> model;
  const ::onnx::ModelProto graph = exported(alive(model, testing::tiny_config()));
  std::map<std::string, std::string> made_by;
  for (const ::onnx::NodeProto& node : graph.graph().node()) {
    made_by[node.output(0)] = node.op_type();
    const std::string& before = made_by[node.input(0)];
    if (node.op_type() == "Transpose" || node.op_type() == "Reshape") {
      EXPECT_NE(node.op_type(), before) << node.name();  // one after the other could be one
    }
    for (const char* op :
         {"Constant", "Shape", "Gather", "Concat", "Unsqueeze", "Split", "Expand", "Cast", "Identity"}) {
      EXPECT_NE(node.op_type(), op) << node.name();
    }
  }
}

TEST(OnnxBackend, TheFileDescribesItself) {
  std::unique_ptr<model::GCViT> model;
  const ::onnx::ModelProto graph = exported(alive(model, testing::tiny_config()));
  EXPECT_EQ(graph.producer_name(), "gcvit.cpp");
  EXPECT_EQ(graph.graph().name(), "tiny");
  EXPECT_EQ(graph.doc_string(), "a tiny model");
  ASSERT_EQ(graph.metadata_props_size(), 1);
  EXPECT_EQ(graph.metadata_props(0).key(), "gcvit.format");
  const auto& input = graph.graph().input(0);
  EXPECT_EQ(input.name(), "images");
  EXPECT_EQ(input.type().tensor_type().shape().dim(0).dim_param(), "N");
  EXPECT_EQ(input.type().tensor_type().shape().dim(1).dim_value(), 3);
  const auto& output = graph.graph().output(0);
  EXPECT_EQ(output.name(), "logits");
  EXPECT_EQ(output.type().tensor_type().shape().dim(0).dim_param(), "N");
}

TEST(OnnxBackend, AFileThatWouldBeTooLargeIsRefused) {
  std::unique_ptr<model::GCViT> model;
  alive(model, testing::tiny_config());
  OnnxBackend small({.largest_file = 2000});
  EXPECT_NE(error_of([&] { record(small, *model); }).find("pass 2000 bytes, the most that an ONNX file can hold"),
            std::string::npos);

  // All weights fit, names and shapes don't.
  std::int64_t weights = 0;
  const ::onnx::ModelProto whole = exported(*model);
  for (const auto& tensor : whole.graph().initializer()) weights += std::ssize(tensor.raw_data());
  OnnxBackend nearly({.largest_file = weights});
  record(nearly, *model);
  EXPECT_TRUE(error_of([&] { nearly.serialise({}); }).starts_with("[onnx] expected at most"));
}

TEST(OnnxBackend, WritesAWholeFileOrNone) {
  std::unique_ptr<model::GCViT> model;
  alive(model, testing::tiny_config());
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("onnx_test.{}", getpid());
  std::filesystem::create_directory(folder);
  const std::string path = folder / "m.onnx";
  OnnxBackend backend;
  record(backend, *model);
  backend.write(path, {.name = "tiny"});
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  OnnxBackend again;
  record(again, *model);
  EXPECT_EQ(bytes, again.serialise({.name = "tiny"}));

  OnnxBackend unwritable;
  record(unwritable, *model);
  EXPECT_TRUE(error_of([&] { unwritable.write(folder / "none/m.onnx", {}); }).starts_with("[file] "));
  OnnxBackend invalid;  // a graph needs a name
  record(invalid, *model);
  EXPECT_TRUE(
      error_of([&] { invalid.write(folder / "other.onnx", {}); }).starts_with("[onnx] the graph breaks a rule"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

TEST(OnnxBackend, AModelWithoutValuesIsRefused) {
  const model::GCViT model(testing::tiny_config());
  OnnxBackend backend;
  EXPECT_EQ(error_of([&] { record(backend, model); }), "[onnx] \"patch_embed.proj.weight\" has no values");
}

/// What the native backend and a graph make of a few operations on two images.
struct Outcome {
  std::vector<float> expected;
  std::vector<double> found;
  ::onnx::ModelProto graph;

  double error() const { return testing::relative_error(found, expected); }
  std::ptrdiff_t count(std::string_view op) const {
    return std::ranges::count_if(graph.graph().node(), [op](const auto& node) { return node.op_type() == op; });
  }
};

/// `forward(backend, x)` makes a map; five mixtures of its channels' means are compared.
template <typename Forward>
Outcome outcome(const ops::Shape& map, const Forward& forward) {
  constexpr std::int32_t kBatch = 2;
  const auto mixtures = [&](ops::Backend& backend, const ops::Value& x) {
    const ops::Value y = forward(backend, x);
    const Dims dims{5, y.shape().channels};
    const ops::Linear head{testing::random_parameter(ops::Role::kLinear, dims, 4, 1.0f), std::nullopt};
    return backend.linear(backend.global_average_pool(y), head, {});
  };
  const std::vector<float> images = testing::random_values(kBatch * map.size(), 9);
  ThreadPool pool(1);
  native::NativeBackend native(pool);
  native.start(kBatch);
  const ops::Value expected = mixtures(native, native.input(map, images));
  const std::span<const float> values = native.read(expected);

  OnnxBackend backend;
  backend.output("y", mixtures(backend, backend.input("x", map)));
  Outcome result{{values.begin(), values.end()}, {}, parse(backend.serialise({.name = "operations"}))};
  testing::OnnxInterpreter interpreter(result.graph);
  result.found = interpreter.run("x", planes(images, map), "y").values;
  return result;
}

ops::Linear linear(std::int64_t outputs, std::int64_t inputs, unsigned seed) {
  return {testing::random_parameter(ops::Role::kLinear, {outputs, inputs}, seed, 0.5f), std::nullopt};
}

ops::Parameter bias_table(ops::Window window, std::int32_t heads) {
  const Dims dims{std::int64_t{2 * window.height - 1} * (2 * window.width - 1), heads};
  return testing::random_parameter(ops::Role::kBiasTable, dims, 3, 0.5f);
}

Outcome attend(const ops::Shape& map, std::int32_t heads, ops::Window window, bool global) {
  const ops::Parameter table = bias_table(window, heads);
  const ops::Linear qkv = linear((global ? 2 : 3) * map.channels, map.channels, 6);
  return outcome(map, [&](ops::Backend& backend, const ops::Value& x) {
    ops::Value q;
    if (global) q = backend.max_pool3x3_stride2(x, ops::PoolPadding::kNegativeInfinity);
    return backend.window_attention(backend.linear(x, qkv, {}), global ? &q : nullptr, table, heads, window);
  });
}

TEST(OnnxBackend, WindowAttentionByItself) {
  for (const bool global : {false, true}) EXPECT_LT(attend({4, 8, 8}, 2, {2, 4}, global).error(), 1e-5) << global;
}

TEST(OnnxBackend, ALargeBiasIsGatheredWhenTheGraphIsLoaded) {
  const Outcome attended = attend({22, 24, 8}, 8, {22, 24}, false);
  EXPECT_LT(attended.error(), 1e-5);
  EXPECT_LT(attended.graph.ByteSizeLong(), 1'500'000u);  // 9 MB when written out
  EXPECT_EQ(attended.count("Gather"), 1);
}

TEST(OnnxBackend, AWindowTooLargeToListItsPairsIsRefused) {
  const ops::Window window{1, 4097};
  const ops::Parameter table = bias_table(window, 1);
  const ops::Linear qkv = linear(3, 1, 6);
  OnnxBackend backend;
  const ops::Value x = backend.linear(backend.input("x", {1, 4097, 1}), qkv, {});
  EXPECT_NE(error_of([&] {
              backend.window_attention(x, nullptr, table, 1, window);
            }).find("expected windows of at most 4096 positions, found 1x4097"),
            std::string::npos);
}

TEST(OnnxBackend, MapsThatAreNotWholeWindowsArePaddedAndCropped) {
  constexpr std::int32_t kChannels = 8, kHeads = 2;
  const ops::Window window{3, 4};
  const ops::LayerNorm norm{testing::random_parameter(ops::Role::kNormScale, {kChannels}, 1, 0.3f, 1.0f),
                            testing::random_parameter(ops::Role::kNormShift, {kChannels}, 2, 0.3f)};
  const ops::Parameter table = bias_table(window, kHeads);
  ops::Linear proj = linear(kChannels, kChannels, 8);
  proj.bias = testing::random_parameter(ops::Role::kBias, {kChannels}, 10, 0.3f);
  const ops::Parameter gamma = testing::random_parameter(ops::Role::kLayerScale, {kChannels}, 11, 0.3f, 0.7f);
  for (const bool global : {false, true}) {
    ops::Linear qkv = linear((global ? 2 : 3) * kChannels, kChannels, 6);
    qkv.bias = testing::random_parameter(ops::Role::kBias, {(global ? 2 : 3) * kChannels}, 7, 0.3f);
    const ops::Parameter* const no_gamma = nullptr;
    for (const ops::Parameter* factor : {no_gamma, &gamma}) {
      const Outcome result = outcome({5, 9, kChannels}, [&](ops::Backend& backend, const ops::Value& x) {
        const ops::Value q = global ? backend.resize_bicubic(x, window.height, window.width) : ops::Value();
        const ops::AttentionSublayer sublayer{norm, qkv, table, proj, kHeads, window, global ? &q : nullptr, factor};
        return backend.attention_sublayer(backend.attention_sublayer(x, sublayer), sublayer);
      });
      EXPECT_LT(result.error(), 1e-5) << global;
      EXPECT_EQ(result.count("Pad"), 2);
      EXPECT_EQ(result.count("Slice"), 2);
      EXPECT_EQ(result.count("Resize"), global ? 1 : 0);
    }
  }
}

TEST(OnnxBackend, OperationsOfOtherImageSizes) {
  const ops::Shape map{5, 7, 4};
  EXPECT_LT(outcome(map, [](auto& backend, const auto& x) { return backend.crop(x, 2, 6); }).error(), 1e-6);
  EXPECT_LT(outcome(map, [](auto& backend, const auto& x) { return backend.pad_bottom_right(x, 5, 9); }).error(), 1e-6);
  for (const ops::Window to : {ops::Window{5, 7}, {14, 14}, {3, 2}, {1, 1}, {49, 11}}) {
    const auto resize = [&](auto& backend, const auto& x) { return backend.resize_bicubic(x, to.height, to.width); };
    EXPECT_LT(outcome(map, resize).error(), 1e-5) << to.height;
  }
}

/// ONNX takes a resized side from its factor, rounding down: every factor must lead to the side that is meant.
TEST(OnnxBackend, FactorsOfResizingLeadToTheSideMeant) {
  for (std::int32_t from = 1; from <= 64; ++from) {
    OnnxBackend backend;
    ops::Value x = backend.input("x", {from, 1, 1});
    for (std::int32_t to = 1; to <= 64; ++to) x = backend.resize_bicubic(backend.resize_bicubic(x, to, 1), from, 1);
    backend.output("y", backend.global_average_pool(x));
    ::onnx::ModelProto graph = parse(backend.serialise({.name = "resizes"}));
    EXPECT_NO_THROW(::onnx::shape_inference::InferShapes(graph, ::onnx::OpSchemaRegistry::Instance(), {true, 1, false}))
        << from;
  }
}

/// Protobuf writes from destructors too, which must not throw.
TEST(OnnxBackend, IsWholeOrNotThereOnAnyDeviceThatFails) {
  std::string pattern = (std::filesystem::temp_directory_path() / "gcvit_onnx_XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  const std::string path = (folder / "m.onnx").string();
  const auto linear_of = [](std::int64_t channels) {
    return ops::Linear{testing::random_parameter(ops::Role::kLinear, {channels, channels}, 1, 0.1f), {}};
  };
  const ops::Linear small = linear_of(8);
  const ops::Linear large = linear_of(768);
  const auto write = [&](const ops::Linear& linear) {
    OnnxBackend backend;
    ops::Value x = backend.input("x", {3, 3, static_cast<std::int32_t>(linear.weight.dims[0])});
    x = backend.linear(x, linear, {});
    backend.output("y", backend.global_average_pool(x));
    backend.write(path, {.name = "one product"});
  };
  testing::expect_whole_or_not_at_all(path, [&] { write(small); });
  // Several of protobuf's blocks: 2.25 MB.
  for (const std::int64_t capacity : {std::int64_t{0}, std::int64_t{1} << 20, (std::int64_t{1} << 21) + 12345}) {
    std::filesystem::remove(path);
    testing::Faults faults;
    faults.capacity = capacity;
    faults.error = ENOSPC;
    EXPECT_EQ(error_of([&] { write(large); }), "[file] " + path + ": can't be written: No space left on device");
    EXPECT_TRUE(std::filesystem::is_empty(folder));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gcvit::onnx
