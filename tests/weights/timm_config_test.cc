// SPDX-License-Identifier: Apache-2.0
#include "weights/timm_config.h"

#include <gtest/gtest.h>

#include "tests/weights/test_files.h"

namespace gcvit::weights {
namespace {

using Names = std::vector<std::string>;

TimmConfig parse(std::string_view text) {
  std::optional<TimmConfig> config = parse_timm_config(text, "c.json");
  EXPECT_TRUE(config);
  return config.value_or(TimmConfig());
}

std::string refusal(std::string_view text) {
  return error_of([&] { parse_timm_config(text, "c.json"); });
}

TEST(TimmConfig, SaysHowImagesArePreparedAndClassesCalled) {
  const TimmConfig config = parse(R"({
    "architecture": "gcvit_xxtiny", "num_classes": 2, "num_features": 512, "global_pool": "avg",
    "label_names": ["cat", "dog"], "label_descriptions": {"cat": "a cat"},
    "model_args": {"img_size": [64, 64], "embed_dim": 32, "act_layer": "gelu", "norm_eps": 1e-05},
    "pretrained_cfg": {"tag": "in1k", "input_size": [3, 64, 96], "interpolation": "bilinear", "crop_pct": 0.9,
      "crop_mode": "squash", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "num_classes": 7, "pool_size": null}})");
  EXPECT_EQ(config.architecture, "gcvit_xxtiny");
  EXPECT_EQ(config.classes, 2);
  EXPECT_EQ(config.class_names, (Names{"cat", "dog"}));
  EXPECT_EQ(config.image_size, (model::ImageSize{64, 96}));
  EXPECT_EQ(config.dim, 32);
  EXPECT_EQ(config.preprocess_json,
            R"({"preset":"timm","crop_pct":0.9,"squash":true,"interpolation":"bilinear","mean":[0.5,0.4,0.3],)"
            R"("std":[0.2,0.3,0.4]})");
}

TEST(TimmConfig, OldOnesHaveEverythingAtTheTop) {
  const TimmConfig config = parse(R"({"architecture": "gcvit_tiny.in1k", "num_classes": 3, "labels": ["a", "b", "c"],
    "input_size": [3, 224, 224], "crop_pct": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1], "crop_mode": "border"})");
  EXPECT_EQ(config.class_names, (Names{"a", "b", "c"}));
  EXPECT_EQ(config.preprocess_json,
            R"({"preset":"timm","crop_pct":1.0,"squash":false,"crop_mode":"border","mean":[0,0,0],"std":[1,1,1]})");
}

TEST(TimmConfig, LabelsMayBeNumberedAndPlaceholdersAreNone) {
  EXPECT_EQ(parse(R"({"architecture": "gcvit_tiny", "label_names": {"2": "c", "0": "a"}})").class_names,
            (Names{"a", "class 1", "c"}));
  EXPECT_EQ(parse(R"({"architecture": "gcvit_tiny", "id2label": {"0": "a", "1": "b"}})").class_names,
            (Names{"a", "b"}));
  EXPECT_EQ(parse(R"({"architecture": "gcvit_tiny", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}})").class_names,
            Names{});
  EXPECT_EQ(parse(R"({"architecture": "gcvit_tiny", "num_classes": 0})").classes, std::nullopt);
  // What isn't given is timm's default.
  EXPECT_EQ(parse(R"({"architecture": "gcvit_tiny", "pretrained_cfg": {}})").preprocess_json,
            R"({"preset":"timm","crop_pct":0.875,"squash":false})");
}

TEST(TimmConfig, OtherConfigsAreNone) {
  for (const char* text : {"{}", "[]", "3", R"({"model_type": "bert"})", R"({"architecture": null})",
                           R"({"architecture": {"dim": 4}})", R"({"class_name": "GCViT", "config": {}})"}) {
    EXPECT_EQ(parse_timm_config(text, "c.json"), std::nullopt) << text;
  }
}

TEST(TimmConfig, RefusesWhatIsNotComputedHereByName) {
  EXPECT_EQ(refusal(R"({"architecture": "resnet18"})"),
            "[weights] c.json: architecture: expected a GCViT, as \"gcvit_xxtiny\", found \"resnet18\"");
  EXPECT_EQ(refusal(R"({"architecture": "gcvit_tiny", "global_pool": "max"})"),
            "[weights] c.json: global_pool: expected \"avg\", found \"max\": such a model is not computed here");
  EXPECT_EQ(
      refusal(R"({"architecture": "gcvit_tiny", "model_args": {"act_layer": "relu"}})"),
      "[weights] c.json: model_args: act_layer: expected \"gelu\", found \"relu\": such a model is not computed here");
  EXPECT_EQ(refusal(R"({"architecture": "gcvit_tiny", "model_args": {"norm_eps": 1e-6}})"),
            "[weights] c.json: model_args: norm_eps: expected 1e-05, found 1e-06: such a model is not computed here");
  EXPECT_EQ(refusal(R"({"architecture": "gcvit_tiny", "input_size": [1, 224, 224]})"),
            "[weights] c.json: input_size: expected 3 channels, height and width, found an array of 3");
}

TEST(TimmConfig, DamageIsAnsweredBySentences) {
  EXPECT_EQ(refusal("{\"architecture\""), "[weights] c.json: not JSON in UTF-8 at byte 15");
  for (const char* part : {R"("pretrained_cfg": [])", R"("mean": [1, 2])", R"("mean": "x")", R"("std": [1, 2, null])",
                           R"("crop_pct": "1")", R"("crop_mode": 3)", R"("interpolation": [])", R"("input_size": 224)",
                           R"("input_size": [3, 1e9, 224])", R"("label_names": [1])", R"("label_names": "cat")",
                           R"("id2label": {"x": "cat"})", R"("id2label": {"-1": "cat"})", R"("id2label": {"0": 3})",
                           R"("id2label": {"99999999": "cat"})", R"("num_classes": "3")", R"("model_args": 3)",
                           R"("model_args": {"embed_dim": "x"})", R"("global_pool": 1)"}) {
    const std::string sentence = refusal(std::string(R"({"architecture": "gcvit_tiny", )") + part + "}");
    EXPECT_TRUE(sentence.starts_with("[weights] c.json: ")) << part << ": " << sentence;
    EXPECT_NE(sentence.find("expected"), std::string::npos) << sentence;
  }
}

/// Cut short or changed anywhere, a config is read, left alone or refused by a sentence.
TEST(TimmConfig, AnyDamageEndsInASentence) {
  const std::string whole =
      R"({"architecture": "gcvit_tiny", "num_classes": 2, "label_names": {"0": "a", "1": "b"},)"
      R"( "model_args": {"embed_dim": 64, "norm_eps": 1e-05}, "pretrained_cfg": {"crop_pct": 0.9,)"
      R"( "input_size": [3, 64, 64], "mean": [0.5, 0.4, 0.3], "crop_mode": "center"}})";
  const auto try_parse = [](const std::string& text) {
    try {
      parse_timm_config(text, "c.json");
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("[weights] c.json: ")) << error.what();
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) try_parse(whole.substr(0, size));
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (const char letter : {'0', '9', '-', '"', ',', '}', ']', '[', '{', 'n', '\x80'}) {
      std::string changed = whole;
      changed[place] = letter;
      try_parse(changed);
    }
  }
}

TEST(TimmConfig, FitsTheModelsItCanBeAbout) {
  const model::GCViTConfig xxtiny = model::variant_config("xxtiny");
  EXPECT_TRUE(fits(parse(R"({"architecture": "gcvit_xxtiny", "num_classes": 1000})"), xxtiny));
  EXPECT_TRUE(fits(parse(R"({"architecture": "gcvit_mine", "input_size": [3, 224, 224]})"), xxtiny));
  EXPECT_FALSE(fits(parse(R"({"architecture": "gcvit_mine", "input_size": [3, 64, 64]})"), xxtiny));
  EXPECT_FALSE(fits(parse(R"({"architecture": "gcvit_base", "num_classes": 1000})"), xxtiny));
  EXPECT_FALSE(fits(parse(R"({"architecture": "gcvit_xxtiny", "num_classes": 5})"), xxtiny));
  EXPECT_FALSE(fits(parse(R"({"architecture": "gcvit_xxtiny", "model_args": {"embed_dim": 32}})"), xxtiny));
}

}  // namespace
}  // namespace gcvit::weights
