// SPDX-License-Identifier: Apache-2.0
#include "weights/model_file.h"

#include <gtest/gtest.h>

#include "tests/weights/test_files.h"

namespace gcvit::weights {
namespace {

const std::string kConfig =
    R"({"dim":8,"depths":[1,2,3,1],"heads":[1,2,4,2],"windows":[[2,4],[2,4],[4,8],[2,4]],"mlp_ratio":2.5,)"
    R"("layer_scale":true,"classes":2,"image_size":[64,128],"pool_padding":"zero","head_activation":"softmax"})";

std::map<std::string, std::string> metadata_with(const std::string& key, const std::string& value) {
  std::map<std::string, std::string> metadata = {{"gcvit.format", "1"}, {"gcvit.config", kConfig}};
  metadata[key] = value;
  return metadata;
}

std::string refusal(const std::string& key, const std::string& value) {
  return error_of([&] { parse_model_info(metadata_with(key, value), "m"); });
}

/// kConfig with one key's value replaced.
std::string config_with(const std::string& key, const std::string& old_value, const std::string& value) {
  std::string config = kConfig;
  const std::string old_text = "\"" + key + "\":" + old_value;
  config.replace(config.find(old_text), old_text.size(), "\"" + key + "\":" + value);
  return config;
}

TEST(ModelFile, ReadsWhatTheContractSays) {
  std::map<std::string, std::string> metadata = metadata_with("gcvit.classes", R"(["daisy","tulip"])");
  metadata["gcvit.preprocess"] = R"({"preset":"timm"})";
  metadata["gcvit.source"] = R"({"format":"safetensors","layout":"timm","sha256":null,"producer":"x"})";
  metadata["gcvit.calibration"] = R"({"temperature":1.25})";
  const ModelInfo info = parse_model_info(metadata, "m");
  EXPECT_EQ(info.config.dim, 8);
  EXPECT_EQ(info.config.depths, (std::array<std::int32_t, 4>{1, 2, 3, 1}));
  EXPECT_EQ(info.config.heads, (std::array<std::int32_t, 4>{1, 2, 4, 2}));
  EXPECT_EQ(info.config.windows[2], (ops::Window{4, 8}));
  EXPECT_EQ(info.config.mlp_ratio, 2.5);
  EXPECT_TRUE(info.config.layer_scale);
  EXPECT_EQ(info.config.classes, 2);
  EXPECT_EQ(info.config.image_height, 64);
  EXPECT_EQ(info.config.image_width, 128);
  EXPECT_EQ(info.config.pool_padding, ops::PoolPadding::kZero);
  EXPECT_EQ(info.config.head_activation, model::HeadActivation::kSoftmax);
  EXPECT_EQ(info.classes, (std::vector<std::string>{"daisy", "tulip"}));
  EXPECT_EQ(info.preprocess_json, R"({"preset":"timm"})");
  ASSERT_TRUE(info.origin);
  EXPECT_EQ(info.origin->layout, "timm");
  EXPECT_EQ(info.origin->sha256, "");
  EXPECT_EQ(info.temperature, 1.25);
}

TEST(ModelFile, Format2SaysHowItWasQuantised) {
  std::map<std::string, std::string> metadata = metadata_with("gcvit.quantization", R"({"scheme":"int8","images":32})");
  metadata["gcvit.format"] = "2";
  const ModelInfo info = parse_model_info(metadata, "m");
  EXPECT_EQ(info.quantisation_json, R"({"scheme":"int8","images":32})");
  EXPECT_EQ(serialise_model_info(info, 2), metadata);
  EXPECT_EQ(refusal("gcvit.quantization", "[]"),
            "[model] m: gcvit.quantization: expected an object, found an array of 0");
}

TEST(ModelFile, WhatItWritesItReads) {
  std::map<std::string, std::string> metadata = metadata_with("gcvit.classes", R"(["r\u00f6se","\"t\\"])");
  metadata["gcvit.source"] = R"({"format":"keras","layout":"keras","sha256":"00ff"})";
  metadata["gcvit.calibration"] = R"({"temperature":0.1})";
  const ModelInfo info = parse_model_info(metadata, "m");
  const auto written = serialise_model_info(info);
  EXPECT_EQ(written.at("gcvit.format"), "1");
  EXPECT_EQ(written.at("gcvit.config"), kConfig);
  EXPECT_EQ(written.at("gcvit.source"), metadata.at("gcvit.source"));
  EXPECT_FALSE(written.contains("gcvit.preprocess"));
  const ModelInfo again = parse_model_info(written, "m");
  EXPECT_EQ(again.config, info.config);
  EXPECT_EQ(again.classes, info.classes);
  EXPECT_EQ(again.temperature, info.temperature);
}

TEST(ModelFile, PaddingAndActivationHaveDefaultsAndSizesMayBeOneNumber) {
  const std::string config =
      R"({"dim":8,"depths":[1,1,1,1],"heads":[1,1,1,1],"windows":[2,2,4,2],"mlp_ratio":3,"layer_scale":false,)"
      R"("classes":2,"image_size":64,"later":"ignored"})";
  const ModelInfo info = parse_model_info(metadata_with("gcvit.config", config), "m");
  EXPECT_EQ(info.config.windows[2], (ops::Window{4, 4}));
  EXPECT_EQ(info.config.image_width, 64);
  EXPECT_EQ(info.config.pool_padding, ops::PoolPadding::kNegativeInfinity);
  EXPECT_EQ(info.config.head_activation, model::HeadActivation::kNone);
}

TEST(ModelFile, WindowsMadeForAnotherImageSizeSaySo) {
  const std::string config = config_with("image_size", "[64,128]", "[96,160],\"native_image_size\":[64,128]");
  const ModelInfo info = parse_model_info(metadata_with("gcvit.config", config), "m");
  EXPECT_EQ(info.config.image_size(), (model::ImageSize{96, 160}));
  EXPECT_EQ(info.config.native_image, (model::ImageSize{64, 128}));
  EXPECT_EQ(serialise_config(info.config), config);
  EXPECT_EQ(refusal("gcvit.config", config_with("image_size", "[64,128]", "[96,160]")),
            "[model] m: gcvit.config: level1: a 24x40 map can't be halved to its 2x4 window");
  EXPECT_EQ(refusal("gcvit.config", config_with("image_size", "[64,128]", "[96,160],\"native_image_size\":[64]")),
            "[model] m: gcvit.config: native_image_size: expected an array of 2, found an array of 1");
  EXPECT_EQ(refusal("gcvit.config", config_with("image_size", "[64,128]", "[96,160],\"native_image_size\":[64,0]")),
            "[model] m: gcvit.config: native image width: expected a multiple of 32 from 32 to 16384, found 0");
}

TEST(ModelFile, IsKnownByItsKeys) {
  EXPECT_TRUE(is_model_file({{"gcvit.format", "7"}}));
  EXPECT_TRUE(is_model_file({{"gcvit.config", ""}}));
  EXPECT_FALSE(is_model_file({{"format", "pt"}}));
  EXPECT_EQ(error_of([] { parse_model_info({{"gcvit.config", kConfig}}, "m"); }),
            "[model] m: gcvit.format: expected 1 or 2, found none");
  EXPECT_EQ(error_of([] { parse_model_info({{"gcvit.format", "1"}}, "m"); }),
            "[model] m: gcvit.config: expected an object, found none");
}

TEST(ModelFile, RefusesNewerFormats) {
  EXPECT_EQ(parse_model_info(metadata_with("gcvit.format", "\"1\""), "m").config.dim, 8);
  EXPECT_EQ(refusal("gcvit.format", "3"),
            "[model] m: the file's format is \"3\": this program reads formats 1 and 2; a newer one may read it");
  EXPECT_EQ(refusal("gcvit.format", "x"), "[model] m: gcvit.format: not JSON in UTF-8 at byte 0");
  EXPECT_EQ(refusal("gcvit.format", "[]"), "[model] m: gcvit.format: expected a positive integer, found an array of 0");
}

TEST(ModelFile, NamesTheKeyThatIsWrong) {
  const auto config_refusal = [](const std::string& key, const std::string& old_value, const std::string& value) {
    return refusal("gcvit.config", config_with(key, old_value, value));
  };
  const std::string config = "[model] m: gcvit.config: ";
  EXPECT_EQ(config_refusal("dim", "8", "\"8\""), config + "dim: expected a positive integer, found \"8\"");
  EXPECT_EQ(config_refusal("dim", "8", "-8"), config + "dim: expected a positive integer, found -8");
  EXPECT_EQ(config_refusal("dim", "8", "8.5"), config + "dim: expected a positive integer, found 8.5");
  EXPECT_EQ(config_refusal("dim", "8", "4294967304"), config + "dim: expected a positive integer, found 4294967304");
  EXPECT_EQ(config_refusal("dim", "8", "6"), config + "dim: expected a multiple of 4 from 4 to 4096, found 6");
  EXPECT_EQ(config_refusal("depths", "[1,2,3,1]", "[1,2,3]"),
            config + "depths: expected an array of 4, found an array of 3");
  EXPECT_EQ(config_refusal("heads", "[1,2,4,2]", "[1,2,null,2]"),
            config + "heads[2]: expected a positive integer, found null");
  EXPECT_EQ(config_refusal("windows", "[[2,4],[2,4],[4,8],[2,4]]", "[[2,4],[2],[4,8],[2,4]]"),
            config + "windows[1]: expected an array of 2, found an array of 1");
  EXPECT_EQ(config_refusal("windows", "[[2,4],[2,4],[4,8],[2,4]]", "[[3,4],[2,4],[4,8],[2,4]]"),
            config + "level1: a 16x32 map can't be halved to its 3x4 window");
  EXPECT_EQ(config_refusal("mlp_ratio", "2.5", "true"), config + "mlp_ratio: expected a number, found true");
  EXPECT_EQ(config_refusal("layer_scale", "true", "1e-5"), config + "layer_scale: expected true or false, found 1e-05");
  EXPECT_EQ(config_refusal("pool_padding", "\"zero\"", "\"one\""),
            config + "pool_padding: expected \"neg_inf\" or \"zero\", found \"one\"");
  EXPECT_EQ(config_refusal("head_activation", "\"softmax\"", "{}"),
            config + "head_activation: expected a text, found an object");
  EXPECT_EQ(refusal("gcvit.config", "{}"), config + "expected a key \"dim\", found none");
  EXPECT_EQ(refusal("gcvit.config", "[]"), config + "expected an object, found an array of 0");
  EXPECT_EQ(refusal("gcvit.config", "{\"dim\":8"), "[model] m: gcvit.config: not JSON in UTF-8 at byte 8");
  EXPECT_EQ(refusal("gcvit.classes", R"(["a"])"),
            "[model] m: gcvit.classes: expected 2 names, as gcvit.config says, found 1");
  EXPECT_EQ(refusal("gcvit.classes", R"(["a",1])"), "[model] m: gcvit.classes[1]: expected a text, found 1");
  EXPECT_EQ(refusal("gcvit.preprocess", "1"), "[model] m: gcvit.preprocess: expected an object, found 1");
  EXPECT_EQ(refusal("gcvit.source", R"({"layout":1})"), "[model] m: gcvit.source: layout: expected a text, found 1");
  EXPECT_EQ(refusal("gcvit.calibration", R"({"temperature":0})"),
            "[model] m: gcvit.calibration: temperature: expected a number over 0, found 0");
  EXPECT_EQ(refusal("gcvit.classes", R"(["a","b","c"])"),
            "[model] m: gcvit.classes: expected at most 2 values, found more");
  EXPECT_EQ(refusal("gcvit.preprocess", std::string(70'000, ' ')),
            "[model] m: gcvit.preprocess: expected at most 65536 bytes, found 70000");
  EXPECT_EQ(refusal("gcvit.preprocess", std::string(50'000, '[')),
            "[model] m: gcvit.preprocess: nested deeper than 64");
}

}  // namespace
}  // namespace gcvit::weights
