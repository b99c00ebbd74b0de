// SPDX-License-Identifier: Apache-2.0
// Models as graphs, and how far what a graph computes is from the native backend.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "native/native_backend.h"
#include "onnx/onnx_backend.h"
#include "tests/native/test_model.h"
#include "tests/onnx/interpreter.h"

namespace gcvit::testing {

inline ::onnx::ModelProto parse(const std::string& bytes) {
  ::onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

inline void record(onnx::OnnxBackend& backend, const model::GCViT& model) {
  const model::GCViTConfig& config = model.config();
  const ops::Value images = backend.input("images", {config.image_height, config.image_width, 3});
  backend.output("logits", model.forward(backend, images));
}

inline ::onnx::ModelProto exported(const model::GCViT& model, const onnx::GraphOptions& options = {}) {
  onnx::OnnxBackend backend(options);
  record(backend, model);
  return parse(backend.serialise({.name = "tiny", .text = "a tiny model", .metadata = {{"gcvit.format", "1"}}}));
}

/// NHWC images as NCHW.
inline Array planes(std::span<const float> images, const ops::Shape& shape) {
  const std::int64_t batch = std::ssize(images) / shape.size();
  Array array({batch, shape.channels, shape.height, shape.width});
  for (std::int64_t i = 0; i < std::ssize(images); ++i) {
    const std::int64_t position = i / shape.channels;
    const std::int64_t plane = position / shape.positions() * shape.channels + i % shape.channels;
    array.values[static_cast<std::size_t>(plane * shape.positions() + position % shape.positions())] =
        images[static_cast<std::size_t>(i)];
  }
  return array;
}

/// How far the graph's logits are from the native backend's.
inline double difference(const model::GCViT& model, const ::onnx::ModelProto& graph, std::int32_t batch) {
  const model::GCViTConfig& config = model.config();
  const ops::Shape shape{config.image_height, config.image_width, 3};
  const std::vector<float> images = random_values(batch * shape.size(), 7);
  ThreadPool pool(1);
  native::NativeBackend native(pool);
  native.start(batch);
  const ops::Value logits = model.forward(native, native.input(shape, images));
  OnnxInterpreter interpreter(graph);
  const Array found = interpreter.run("images", planes(images, shape), "logits");
  EXPECT_EQ(found.dims, (Dims{batch, config.classes}));
  return relative_error(found.values, native.read(logits));
}

inline model::GCViT& alive(std::unique_ptr<model::GCViT>& model, const model::GCViTConfig& config) {
  model = std::make_unique<model::GCViT>(config);
  fill_alive(*model, 5);
  return *model;
}

}  // namespace gcvit::testing
