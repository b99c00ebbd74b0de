// SPDX-License-Identifier: Apache-2.0
// gcvit quantize, and what other subcommands do with what it writes.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/safetensors.h"
#include "tests/cli/keys.h"
#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;

std::map<DType, int> types_of(const std::string& file) {
  std::map<DType, int> types;
  for (const formats::NamedTensor& entry : formats::read_safetensors(file).tensors) ++types[entry.tensor.dtype()];
  return types;
}

TEST_F(Cli, QuantizeWritesInt8AndSaysWhatItCosts) {
  image(1);
  for (const std::string& name : testing::colour_names())
    std::filesystem::create_directories(folder / ("data/" + name));
  for (unsigned i = 0; i < 5; ++i)
    std::filesystem::rename(folder / image(i), folder / ("data/red/" + std::to_string(i) + ".png"));
  const Result result = gcvit("quantize m.safetensors q.safetensors --dtype int8 --calibrate data --json");
  ASSERT_EQ(result.code, 0) << result.err;
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"agreement", "bytes_in", "bytes_out", "error", "layers", "photos", "scheme"}));
  EXPECT_EQ(object["photos"], 5);
  EXPECT_GT(object["agreement"], 0.5);
  EXPECT_GT(object["error"], 0.0);
  EXPECT_LT(object["error"], 0.05);
  EXPECT_EQ(object["bytes_in"], std::filesystem::file_size(model));
  EXPECT_EQ(object["bytes_out"], std::filesystem::file_size(folder / "q.safetensors"));
  ASSERT_EQ(object["layers"].size(), 4u * 8 + 8 + 5);
  for (const json& layer : object["layers"]) {
    EXPECT_EQ(keys_of(layer), (Keys{"dtype", "error", "logit_error", "name"}));
    EXPECT_EQ(layer["dtype"], "i8");
  }
  EXPECT_EQ(types_of(folder / "q.safetensors")[DType::kI8], 4 * 8 + 8 + 5);
  const auto metadata = formats::read_safetensors(folder / "q.safetensors").metadata;
  EXPECT_EQ(metadata.at("gcvit.format"), "2");
  const json how = json::parse(metadata.at("gcvit.quantization"));
  EXPECT_EQ(how["calibration_photos"], 5);
  EXPECT_EQ(how["agreement"], object["agreement"]);

  const json info = json::parse(gcvit("info -m q.safetensors --json").out);
  EXPECT_EQ(info["quantization"], how);
  EXPECT_EQ(info["source"]["tensors"]["i8"], 4 * 8 + 8 + 5);
}

TEST_F(Cli, Int8FilesComputeInInt8UnlessToldOtherwise) {
  image(1);
  ASSERT_EQ(gcvit("quantize m.safetensors q.safetensors --dtype int8").code, 0);
  const Result own = gcvit("classify -m q.safetensors photo1.png --json");
  EXPECT_EQ(own.err, "gcvit: q.safetensors: has int8 weights and computes with them; --dtype f32 doesn't\n");
  const auto predictions = [](const Result& result) { return json::parse(result.out)["results"]; };
  const Result floats = gcvit("classify -m q.safetensors photo1.png --json --dtype f32");
  EXPECT_EQ(floats.err, "");
  EXPECT_NE(predictions(own), predictions(floats));
  // The same integers, whether a file has them or opening makes them.
  EXPECT_EQ(predictions(own), predictions(gcvit("classify -m q.safetensors photo1.png --json --dtype int8 -t 1")));
  EXPECT_EQ(predictions(own), predictions(gcvit("classify -m m.safetensors photo1.png --json --dtype int8")));

  const Result converted = gcvit("convert q.safetensors f.safetensors --dtype f32");
  EXPECT_NE(converted.err.find("45 int8 weights are restored to floats"), std::string::npos) << converted.err;
  EXPECT_EQ(predictions(floats), predictions(gcvit("classify -m f.safetensors photo1.png --json")));
  EXPECT_EQ(gcvit("convert q.safetensors again.safetensors").code, 0);
  EXPECT_EQ(read_text(folder / "again.safetensors"), read_text(folder / "q.safetensors"));
  const Result exported = gcvit("convert q.safetensors q.pth");
  EXPECT_NE(exported.err.find("restored to floats"), std::string::npos) << exported.err;
}

TEST_F(Cli, QuantizeStoresTheRestAsAskedFor) {
  ASSERT_EQ(gcvit("quantize m.safetensors q.safetensors --dtype int8 --floats bf16").code, 0);
  const auto mixed = types_of(folder / "q.safetensors");
  EXPECT_EQ(mixed.at(DType::kI8), 4 * 8 + 8 + 5);
  EXPECT_EQ(mixed.at(DType::kF32), 4 * 8 + 8 + 5);  // the scales
  EXPECT_GT(mixed.at(DType::kBF16), 50);
  const Result result = gcvit("quantize m.safetensors b.safetensors --dtype bf16");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("level1/block0/attention/qkv"), std::string::npos) << result.out;
  EXPECT_EQ(types_of(folder / "b.safetensors").size(), 1u);
  image(1);
  const Result rounded = gcvit("classify -m b.safetensors photo1.png");
  EXPECT_EQ(rounded.err, "gcvit: b.safetensors: has bf16 weights and computes with them; --dtype f32 doesn't\n");
}

/// The bounds that hold on all 328 photos of models/flowers.val.txt, on the few of them that are here.
TEST_F(Cli, TheBundledModelKeepsItsAnswers) {
  const std::filesystem::path source = GCVIT_SOURCE_DIR;
  const std::pair<const char*, const char*> photos[] = {
      {"daisy", "daisy"}, {"dandelion", "dandelion"},  {"dandelion_yellow", "dandelion"},
      {"rose", "roses"},  {"sunflower", "sunflowers"}, {"tulips", "tulips"}};
  for (const auto& [photo, label] : photos) {
    std::filesystem::create_directories(folder / ("data/" + std::string(label)));
    std::filesystem::copy_file(source / "examples/photos" / (std::string(photo) + ".jpg"),
                               folder / ("data/" + std::string(label) + "/" + photo + ".jpg"));
  }
  const std::string bundled = quoted((source / "models/gcvit_flowers.safetensors").string());
  for (const auto& [arguments, bound] : {std::pair("--dtype int8", 0.01), std::pair("--dtype int8 --floats bf16", 0.01),
                                         std::pair("--dtype bf16", 0.004)}) {
    const Result result = gcvit("quantize " + bundled + " q.safetensors --json --calibrate data " + arguments);
    ASSERT_EQ(result.code, 0) << result.err;
    const json object = json::parse(result.out);
    EXPECT_EQ(object["photos"], 6) << arguments;
    EXPECT_EQ(object["agreement"], 1.0) << arguments;
    EXPECT_LE(object["error"], bound) << arguments;
  }
}

TEST_F(Cli, QuantizeRefusesWhatItCannotDo) {
  expect_usage_error("quantize m.safetensors q.safetensors", "--dtype is required");
  expect_usage_error("quantize m.safetensors q.safetensors --dtype f32", "--dtype");
  expect_failure("quantize m.safetensors q.pth --dtype int8", "q.pth: expected a name that ends in .safetensors");
  expect_failure("quantize m.safetensors q.safetensors --dtype int8 --calibrate nowhere", "nowhere");
  EXPECT_FALSE(std::filesystem::exists(folder / "q.safetensors"));
}

}  // namespace
}  // namespace gcvit
