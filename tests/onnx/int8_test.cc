// SPDX-License-Identifier: Apache-2.0
// Graphs of models with int8 weights.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "model/tensor_table.h"
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

}  // namespace
}  // namespace gcvit::onnx
