// SPDX-License-Identifier: Apache-2.0
// gcvit export as a user calls it.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

using weights::read_text;
using weights::write_text;

TEST_F(Cli, ExportWritesAnOnnxFileOrNone) {
  const std::size_t before = files_left();
  const Result result = gcvit("export -m m.safetensors m.onnx");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("m.onnx: opset 17"), std::string::npos) << result.err;
  EXPECT_EQ(files_left(), before + 1);
  const std::string file = read_text(folder / "m.onnx");
  for (const char* part : {"gcvit.cpp", "gcvit.config", "gcvit.classes", "gcvit.preprocess", "gcvit.source", "images",
                           "logits", "level1/block0/attention/q"}) {
    EXPECT_NE(file.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(gcvit("export -m m.safetensors old.onnx --opset 13").code, 0);
  EXPECT_EQ(read_text(folder / "old.onnx").find("LayerNormalization"), std::string::npos);
  EXPECT_NE(file.find("LayerNormalization"), std::string::npos);

  EXPECT_EQ(gcvit("export m.safetensors two.onnx").code, 0);
  EXPECT_EQ(read_text(folder / "two.onnx"), file) << "the model may come first";
  std::filesystem::remove(folder / "two.onnx");
  EXPECT_NE(result.err.find("InferenceSession(\"m.onnx\")\n"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("# float32 [N, 3, 64, 64]\n"), std::string::npos) << result.err;
  expect_usage_error("export m.safetensors x.onnx -m m.safetensors", "the model is named twice");
  for (const char* const name : {"x.pth", "x.safetensors", "x.weights.h5"}) {
    expect_failure(std::string("export m.safetensors ") + name, std::string("gcvit convert IN ") + name);
  }

  expect_failure("export -m m.safetensors none/m.onnx", "none/m.onnx: can't be written");
  expect_failure("export -m missing.safetensors m.onnx", "missing.safetensors");
  write_text(folder / "broken.safetensors", "no model");
  expect_failure("export -m broken.safetensors m.onnx", "broken.safetensors");
  EXPECT_EQ(read_text(folder / "m.onnx"), file) << "a failed export leaves what was there";
  EXPECT_EQ(files_left(), before + 3);
}

TEST_F(Cli, ExportKeepsInt8Weights) {
  ASSERT_EQ(gcvit("quantize m.safetensors q.safetensors --dtype int8").code, 0);
  const Result result = gcvit("export -m q.safetensors q.onnx");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err.find("restored"), std::string::npos) << result.err;
  const std::string file = read_text(folder / "q.onnx");
  for (const char* part : {"DequantizeLinear", "levels.0.blocks.0.mlp.fc1.weight.scale", "gcvit.quantization",
                           "inputs of their layers f32"}) {
    EXPECT_NE(file.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(file.find("QuantizeLinear"), std::string::npos) << "inputs are floats";

  const Result floats = gcvit("export -m q.safetensors f.onnx --dtype f32");
  EXPECT_EQ(floats.code, 0);
  EXPECT_NE(floats.err.find("int8 weights are restored to floats"), std::string::npos) << floats.err;
  const std::string restored = read_text(folder / "f.onnx");
  for (const char* part : {"DequantizeLinear", "gcvit.quantization"}) {
    EXPECT_EQ(restored.find(part), std::string::npos) << part;
  }
}

TEST_F(Cli, ExportRoundsInputsByScalesFoundOnPhotos) {
  ASSERT_EQ(gcvit("quantize m.safetensors q.safetensors --dtype int8").code, 0);
  std::filesystem::create_directories(folder / "data/red");
  for (unsigned i = 0; i < 3; ++i) {
    const std::string name = image(i);
    std::filesystem::rename(folder / name, folder / ("data/red/" + name));
  }
  write_text(folder / "data/red/broken.png", "no photo");
  const Result result = gcvit("export -m q.safetensors q.onnx --qdq --calibrate data --batch 2 -t 1");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  for (const char* part : {"inputs scaled by the largest magnitude / 127: error ", "99.99 % of the magnitudes / 127",
                           " of 3 photos; taken\n", "broken.png"}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\n" << result.err;
  }
  const std::string file = read_text(folder / "q.onnx");
  for (const char* part : {"level1/block0/mlp/fc1/input/quantize", "levels.0.blocks.0.mlp.fc1.weight.input_scale",
                           "\"calibration_photos\":3"}) {
    EXPECT_NE(file.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(gcvit("export -m q.safetensors again.onnx --qdq --calibrate data --batch 1 -t 2").code, 0);
  EXPECT_EQ(read_text(folder / "again.onnx"), file) << "neither batch nor threads change it";

  expect_usage_error("export -m q.safetensors q.onnx --qdq", "--calibrate");
  expect_usage_error("export -m q.safetensors q.onnx --calibrate data", "--qdq");
  expect_usage_error("export -m q.safetensors q.onnx --list list.txt", "--calibrate");
  expect_failure("export -m m.safetensors f.onnx --qdq --calibrate data", "expected int8 weights, found floats alone");
  expect_failure("export -m q.safetensors f.onnx --qdq --calibrate none", "none");
}

}  // namespace
}  // namespace gcvit
