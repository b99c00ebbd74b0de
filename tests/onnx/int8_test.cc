// SPDX-License-Identifier: Apache-2.0
// Graphs of models with int8 weights.
#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ops/layer_inputs.h"
#include "tests/onnx/exported.h"
#include "weights/quantise.h"

namespace gcvit::onnx {
namespace {

using testing::exported;

/// A model whose layer scales have both signs and a zero.
std::unique_ptr<model::GCViT> int8_model(bool layer_scale) {
  model::GCViTConfig config = testing::tiny_config();
  config.layer_scale = layer_scale;
  auto model = std::make_unique<model::GCViT>(config);
  testing::fill_alive(*model, 5);
  for (ops::Parameter* parameter : model->parameters()) {
    if (parameter->role != ops::Role::kLayerScale) continue;
    parameter->tensor.mutable_values()[1] = -0.5f;
    parameter->tensor.mutable_values()[2] = 0.0f;
  }
  weights::quantise(*model);
  return model;
}

/// The same model in floats.
std::unique_ptr<model::GCViT> restored(const model::GCViT& model) {
  auto result = std::make_unique<model::GCViT>(model.config());
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    result->parameters()[i]->tensor = ops::to_f32({model.parameters()[i]->tensor, model.parameters()[i]->scales});
  }
  return result;
}

std::map<std::string, const ::onnx::TensorProto*> initialisers(const ::onnx::ModelProto& graph) {
  std::map<std::string, const ::onnx::TensorProto*> result;
  for (const ::onnx::TensorProto& tensor : graph.graph().initializer()) result[tensor.name()] = &tensor;
  return result;
}

TEST(Int8Graph, ComputesWhatTheRestoredFloatsDo) {
  for (const bool layer_scale : {false, true}) {
    const std::unique_ptr<model::GCViT> model = int8_model(layer_scale);
    for (const std::int32_t opset : {kOldestOpset, kDefaultOpset, kNewestOpset}) {
      const ::onnx::ModelProto graph = exported(*model, {.opset = opset});
      EXPECT_LT(testing::difference(*restored(*model), graph, 2), 1e-5) << layer_scale << opset;
    }
  }
}

TEST(Int8Graph, WeightsStayIntegersWithAScaleAnOutput) {
  const std::unique_ptr<model::GCViT> model = int8_model(true);
  const ::onnx::ModelProto graph = exported(*model);
  const auto tensors = initialisers(graph);
  std::size_t dequantised = 0;
  for (const ::onnx::NodeProto& node : graph.graph().node()) {
    if (node.op_type() != "DequantizeLinear") continue;
    ++dequantised;
    const ::onnx::TensorProto& integers = *tensors.at(node.input(0));
    const ::onnx::TensorProto& scales = *tensors.at(node.input(1));
    EXPECT_EQ(integers.data_type(), ::onnx::TensorProto::INT8) << node.name();
    EXPECT_EQ(scales.name(), integers.name() + ".scale");
    ASSERT_EQ(scales.dims_size(), 1);
    EXPECT_EQ(scales.dims(0), integers.dims(0));
    ASSERT_EQ(node.attribute_size(), 1);
    EXPECT_EQ(node.attribute(0).name(), "axis");
    EXPECT_EQ(node.attribute(0).i(), 0);
    for (std::size_t i = 0; i < scales.raw_data().size(); i += sizeof(float)) {
      float scale = 0.0f;
      std::memcpy(&scale, scales.raw_data().data() + i, sizeof(float));
      EXPECT_GT(scale, 0.0f) << scales.name() << i;  // layer scales of either sign and zero are in the integers
    }
  }
  std::size_t expected = 0;
  for (const ops::Parameter* parameter : model->parameters()) {
    if (parameter->tensor.dtype() != DType::kI8) continue;
    const bool split = parameter->name.ends_with("qkv.weight");
    expected += split ? static_cast<std::size_t>(parameter->dims[0] / parameter->dims[1]) : 1;  // q, k, v or k, v
  }
  EXPECT_EQ(dequantised, expected);
  EXPECT_TRUE(tensors.contains("levels.0.blocks.0.attn.proj.weight_times_gamma1.scale"));
  EXPECT_EQ(tensors.at("head.weight")->data_type(), ::onnx::TensorProto::FLOAT);
}

TEST(Int8Graph, IntegersAreTheFilesWhereNothingIsFolded) {
  const std::unique_ptr<model::GCViT> model = int8_model(false);
  const ::onnx::ModelProto graph = exported(*model);
  const auto tensors = initialisers(graph);
  for (const ops::Parameter* parameter : model->parameters()) {
    if (parameter->tensor.dtype() != DType::kI8 || parameter->name.ends_with("qkv.weight")) continue;
    const auto bytes = parameter->tensor.bytes();
    EXPECT_EQ(tensors.at(parameter->name)->raw_data(),
              std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()))
        << parameter->name;
    const auto scales = parameter->scales.bytes();
    EXPECT_EQ(tensors.at(parameter->name + ".scale")->raw_data(),
              std::string(reinterpret_cast<const char*>(scales.data()), scales.size()));
  }
}

/// -128 has no opposite in int8: the sign of a negative factor stays in the scale.
TEST(Int8Graph, TheLeastIntegerIsKept) {
  const std::unique_ptr<model::GCViT> model = int8_model(true);
  for (ops::Parameter* parameter : model->parameters()) {
    if (parameter->name != "levels.0.blocks.0.attn.proj.weight") continue;
    std::vector<std::byte> integers(parameter->tensor.bytes().begin(), parameter->tensor.bytes().end());
    integers[8 + 3] = std::byte{0x80};  // of the output whose layer scale is negative
    const auto owner = std::make_shared<std::vector<std::byte>>(std::move(integers));
    parameter->tensor = Tensor(DType::kI8, parameter->dims, owner, *owner);
  }
  const ::onnx::ModelProto graph = exported(*model);
  EXPECT_LT(testing::difference(*restored(*model), graph, 2), 1e-5);
}

TEST(Int8Graph, InputsAreRoundedOnceALayerWhereTheyHaveAScale) {
  const std::unique_ptr<model::GCViT> model = int8_model(true);
  GraphOptions options;
  for (const ops::Parameter* parameter : model->parameters()) {
    if (parameter->tensor.dtype() == DType::kI8) options.input_scales[parameter->name] = 0.03f;
  }
  ::onnx::ModelProto graph = exported(*model, options);
  std::map<std::string, std::size_t> ops;
  std::map<std::string, std::string> made_by;
  for (const ::onnx::NodeProto& node : graph.graph().node()) {
    ++ops[node.op_type()];
    made_by[node.output(0)] = node.op_type();
  }
  EXPECT_EQ(ops["QuantizeLinear"], options.input_scales.size());
  std::size_t int8_layers = 0;
  for (const ::onnx::NodeProto& node : graph.graph().node()) {
    if ((node.op_type() != "Gemm" && node.op_type() != "Conv") || made_by[node.input(1)] != "DequantizeLinear")
      continue;
    ++int8_layers;
    EXPECT_EQ(made_by[node.input(0)], "DequantizeLinear") << node.name();
    if (node.input_size() > 2) {
      EXPECT_EQ(made_by[node.input(2)], "DequantizeLinear") << node.name();
    }
  }
  EXPECT_GT(int8_layers, options.input_scales.size());  // q, k and v share an input
  EXPECT_NO_THROW(::onnx::shape_inference::InferShapes(graph, ::onnx::OpSchemaRegistry::Instance(), {true, 1, true}));

  // The graph computes what the model does when its layers' inputs are rounded so.
  const std::unique_ptr<model::GCViT> floats = restored(*model);
  const ops::Shape shape{model->config().image_height, model->config().image_width, 3};
  const std::vector<float> images = testing::random_values(2 * shape.size(), 7);
  ThreadPool pool(1);
  native::NativeBackend native(pool);
  native.start(2);
  ops::LayerInputs rounding(native, [&](const ops::Parameter& weight, const ops::Value& input) {
    const auto found = options.input_scales.find(weight.name);
    if (found == options.input_scales.end()) return input;
    std::vector<float> values(native.read(input).begin(), native.read(input).end());
    for (float& value : values) {
      value = std::clamp(std::nearbyint(value / found->second), -128.0f, 127.0f) * found->second;
    }
    return native.input(input.shape(), values);
  });
  const ops::Value logits = floats->forward(rounding, native.input(shape, images));
  testing::OnnxInterpreter interpreter(graph);
  const testing::Array found = interpreter.run("images", testing::planes(images, shape), "logits");
  // A value at the border of two integers may go to either.
  EXPECT_LT(testing::relative_error(found.values, native.read(logits)), 0.05);
}

/// One layer, whose inputs are rounded to steps of 1/16 and cut off at 127/16.
TEST(Int8Graph, AnInputIsRoundedToItsScaleAndCutOff) {
  constexpr float kScale = 0.0625f;
  const ops::Shape shape{3, 4, 24};
  ops::Linear linear{testing::random_parameter(ops::Role::kLinear, {8, 24}, 1, 0.3f),
                     testing::random_parameter(ops::Role::kBias, {8}, 2, 0.3f)};
  ops::Linear exact = linear;
  ops::TypedValues typed = weights::quantised(linear.weight.tensor);
  exact.weight.tensor = ops::to_f32(typed);
  linear.weight.tensor = typed.values;
  linear.weight.scales = typed.scales;

  const std::vector<float> images = testing::random_values(shape.size(), 3, 4.0f);  // some are over 8
  std::vector<float> rounded = images;
  for (float& value : rounded) value = std::clamp(std::nearbyint(value / kScale), -128.0f, 127.0f) * kScale;
  EXPECT_GT(*std::ranges::max_element(images), *std::ranges::max_element(rounded));
  ThreadPool pool(1);
  native::NativeBackend native(pool);
  native.start(1);
  const ops::Value expected = native.global_average_pool(native.linear(native.input(shape, rounded), exact, {}));

  OnnxBackend backend({.input_scales = {{linear.weight.name, kScale}}});
  backend.output("y", backend.global_average_pool(backend.linear(backend.input("x", shape), linear, {})));
  const ::onnx::ModelProto graph = testing::parse(backend.serialise({.name = "layer"}));
  testing::OnnxInterpreter interpreter(graph);
  const testing::Array found = interpreter.run("x", testing::planes(images, shape), "y");
  EXPECT_LT(testing::relative_error(found.values, native.read(expected)), 2e-4);  // half a step of the bias
}

/// A bias that int32 can't hold in units of the products stays f32.
TEST(Int8Graph, ABiasTooLargeForInt32StaysFloat) {
  const std::unique_ptr<model::GCViT> model = int8_model(false);
  GraphOptions options;
  options.input_scales["levels.0.blocks.0.mlp.fc1.weight"] = 1e-12f;
  options.input_scales["levels.0.blocks.0.mlp.fc2.weight"] = 1e-2f;
  const ::onnx::ModelProto graph = exported(*model, options);
  const auto tensors = initialisers(graph);
  EXPECT_EQ(tensors.at("levels.0.blocks.0.mlp.fc1.bias")->data_type(), ::onnx::TensorProto::FLOAT);
  EXPECT_EQ(tensors.at("levels.0.blocks.0.mlp.fc2.bias")->data_type(), ::onnx::TensorProto::INT32);
}

}  // namespace
}  // namespace gcvit::onnx
