// SPDX-License-Identifier: Apache-2.0
// gcvit convert, and what a model becomes on its way through other projects' files.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "formats/npy.h"
#include "formats/raw_file.h"

namespace gcvit {
namespace {

using formats::NamedTensor;
using nlohmann::json;
using weights::read_text;

const std::string kParity = std::string(GCVIT_TEST_DATA) + "/parity/";

class Convert : public Cli {
 protected:
  /// Bits of the logits of one image of noise.
  std::string logits(const std::string& file, const std::string& options = "") {
    if (!std::filesystem::exists(folder / "x.npy")) {
      Tensor image(DType::kF32, {1, 64, 64, 3});
      float value = 0.0f;
      for (float& pixel : image.mutable_values()) pixel = value = std::fmod(value * 1.7f + 0.37f, 2.0f) - 0.9f;
      formats::write_npy(folder / "x.npy", image);
    }
    EXPECT_EQ(gcvit("forward -m " + file + " x.npy -o out.npz " + options).code, 0) << file;
    for (const NamedTensor& entry : formats::read_raw_file(folder / "out.npz").tensors) {
      if (entry.name.starts_with("logits")) {
        return {reinterpret_cast<const char*>(entry.tensor.bytes().data()), entry.tensor.bytes().size()};
      }
    }
    ADD_FAILURE() << file << ": no logits";
    return "";
  }

  void convert(const std::string& arguments) {
    const Result result = gcvit("convert " + arguments);
    EXPECT_EQ(result.code, 0) << arguments << '\n' << result.err;
  }
};

TEST_F(Convert, AFileInAllFormatsGivesTheSameLogitsBitForBit) {
  // dim 12 is none that timm has: it rounds the squeezed width.
  const std::string source = kParity + "nvlabs.safetensors";
  const std::string expected = logits(source);
  ASSERT_FALSE(expected.empty());
  for (const std::string arguments :
       {"a.safetensors", "b.safetensors --layout nvlabs", "c.pth", "d.pth.tar", "e.bin --layout nvlabs"}) {
    convert(source + " " + arguments);
    EXPECT_EQ(logits(arguments.substr(0, arguments.find(' '))), expected) << arguments;
  }
  convert("c.pth f.safetensors");
  EXPECT_EQ(logits("f.safetensors"), expected);

  // Keras pads its pools with zeros; from there on it's another model, and again the same in every format.
  convert("a.safetensors g.weights.h5");
  convert("a.safetensors h.weights.h5 --layout gcvit-tf");
  const std::string padded = logits("g.weights.h5");
  EXPECT_NE(padded, expected);
  EXPECT_EQ(logits("h.weights.h5"), padded);
  convert("g.weights.h5 i.safetensors");
  EXPECT_EQ(logits("i.safetensors"), padded);
}

TEST_F(Convert, OursSaysWhereItComesFrom) {
  convert(kParity + "nvlabs.safetensors m.pth");
  convert("m.pth ours.safetensors");
  const auto metadata = formats::read_raw_file(folder / "ours.safetensors").metadata;
  const json source = json::parse(metadata.at("gcvit.source"));
  EXPECT_EQ(source["format"], "pytorch");
  EXPECT_EQ(source["layout"], "nvlabs");
  const Result sum = shell("sha256sum m.pth");
  EXPECT_EQ(source["sha256"], sum.out.substr(0, 64));
  EXPECT_EQ(json::parse(metadata.at("gcvit.preprocess"))["preset"], "nvlabs");
  // Converted again it still names the first file.
  convert("ours.safetensors again.safetensors --dtype f16");
  const auto again = formats::read_raw_file(folder / "again.safetensors");
  EXPECT_EQ(again.metadata.at("gcvit.source"), metadata.at("gcvit.source"));
  EXPECT_EQ(again.tensors.front().tensor.dtype(), DType::kF16);
}

TEST_F(Convert, ANewHeadIsSaid) {
  const Result result = gcvit("convert " + model + " new.safetensors --num-classes 9");
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(result.err.starts_with("gcvit: the head is new: 9 classes with random values, to be trained\n"));
  EXPECT_EQ(json::parse(gcvit("info --json -m new.safetensors").out)["config"]["classes"], 9);
  convert(model + " same.safetensors --num-classes 9");
  convert(model + " other.safetensors --num-classes 9 --seed 1");
  EXPECT_EQ(read_text(folder / "same.safetensors"), read_text(folder / "new.safetensors"));
  EXPECT_NE(read_text(folder / "other.safetensors"), read_text(folder / "new.safetensors"));
}

TEST_F(Convert, TheKerasExamplesBiasGoesIntoTheFileAndNotBackToKeras) {
  const std::string source = kParity + "nvlabs.safetensors";
  convert(source + " tied.safetensors --keras-example-bias");
  EXPECT_EQ(logits("tied.safetensors"), logits(source, "--keras-example-bias"));
  EXPECT_EQ(json::parse(gcvit("info --json -m tied.safetensors").out)["source"]["keras_example_bias"], true);
  EXPECT_NE(logits("tied.safetensors"), logits(source));
  expect_failure("convert tied.safetensors k.weights.h5", "bias tables were rewritten");
  expect_failure("forward -m tied.safetensors x.npy -o o.npz --keras-example-bias", "were rewritten");
}

TEST_F(Convert, AnotherImageSizeStaysWithTheFile) {
  const std::string source = kParity + "nvlabs.safetensors";
  for (const std::string mode : {"exact", "fixed"}) {
    convert(source + " " + mode + ".safetensors --image-size 96x64 --window-mode " + mode);
    const json info = json::parse(gcvit("info --json -m " + mode + ".safetensors").out);
    EXPECT_EQ(info["config"]["image_size"], json({96, 64})) << mode;
    const json window = mode == "exact" ? json({3, 2}) : json({2, 2});
    EXPECT_EQ(info["config"]["windows"][0], window) << mode;
  }
}

TEST_F(Convert, WhatCantBeDoneIsASentenceAndNoFile) {
  const std::size_t before = files_left();
  expect_failure("convert missing.pth a.safetensors", "missing.pth");
  expect_failure("convert " + model + " a.txt", "expected a name that ends in .safetensors");
  expect_failure("convert " + model + " a.keras", "write a.weights.h5 instead");
  expect_failure("convert " + model + " a.h5", "write a.weights.h5");
  expect_failure("convert " + model + " a.onnx", "gcvit export IN a.onnx");
  expect_failure("convert " + model + " a.pth --layout gcvit-tf", "the gcvit-tf layout isn't kept in PyTorch files");
  expect_failure("convert " + model + " folder --layout timm", "timm has no registered model");
  expect_failure("convert " + model + " a.pth --layout canonical", "canonical layout isn't kept in PyTorch files");
  expect_failure("convert " + model + " none/a.safetensors", "none/a.safetensors");
  expect_failure("convert " + model + " a.safetensors --image-size 100", "the nearest are");
  expect_usage_error("convert " + model, "OUT");
  expect_usage_error("convert " + model + " a.safetensors --layout tf", "--layout");
  expect_usage_error("convert " + model + " a.safetensors --dtype int8", "--dtype");
  EXPECT_EQ(files_left(), before);
}

TEST_F(Convert, SaysHowItsFileIsLoaded) {
  const auto lines = [&](const std::string& arguments) {
    const Result result = gcvit("convert " + kParity + "nvlabs.safetensors " + arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "");
    return result.err;
  };
  const auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  };
  EXPECT_EQ(lines("a.safetensors").find("to load it"), std::string::npos);
  const std::string nvlabs = lines("a.pth");
  expect(nvlabs, "gcvit: to load it with NVlabs' code:\n    from models.gc_vit import GCViT");
  expect(nvlabs, "\n    model.load_state_dict(torch.load(\"a.pth\", weights_only=True))\n");
  expect(lines("b.safetensors --layout nvlabs"), "model.load_state_dict(load_file(\"b.safetensors\"))\n");
  const std::string keras = lines("a.weights.h5");
  expect(keras, "keras layout\n");
  expect(keras, "to load it with the Keras example:\n");
  expect(keras, "embed_dim=12, ");
  expect(keras, "model.load_weights(\"a.weights.h5\")\n");
  const std::string gcvit_tf = lines("b.weights.h5 --layout gcvit-tf");
  expect(gcvit_tf, "b.weights.h5: ");
  expect(gcvit_tf, ", gcvit-tf layout\n");
  expect(gcvit_tf, "from gcvit.models.gcvit import GCViT");
}

}  // namespace
}  // namespace gcvit
