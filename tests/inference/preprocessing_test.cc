// SPDX-License-Identifier: Apache-2.0
#include "inference/preprocessing.h"

#include <gtest/gtest.h>

#include "tests/weights/test_files.h"

namespace gcvit::inference {
namespace {

using weights::error_of;

TEST(Preprocessing, AutoFollowsMetadataThenSource) {
  weights::ModelInfo info;
  info.source.layout = "nvlabs";
  EXPECT_EQ(preprocessing_of(info, "auto", "m").preset, image::Preset::kNvlabs);
  EXPECT_DOUBLE_EQ(preprocessing_of(info, "auto", "m").crop_pct, 1.0);  // xxtiny's
  info.source.layout = "timm";
  EXPECT_EQ(preprocessing_of(info, "auto", "m").preset, image::Preset::kTimm);
  info.source.layout = "canonical";
  info.origin = weights::ModelOrigin{"keras", "keras", ""};
  EXPECT_EQ(preprocessing_of(info, "auto", "m").preset, image::Preset::kKeras);
  info.preprocess_json =
      R"({"preset": "timm", "image_size": [224, 224], "crop_pct": 0.75, "mean": [0, 0.5, 1], "std": [1, 2, 3]})";
  const image::PreprocessConfig config = preprocessing_of(info, "auto", "m");
  EXPECT_EQ(config.preset, image::Preset::kTimm);
  EXPECT_DOUBLE_EQ(config.crop_pct, 0.75);
  EXPECT_EQ(config.mean, (std::array<float, 3>{0, 0.5f, 1}));
  EXPECT_EQ(config.std, (std::array<float, 3>{1, 2, 3}));
  EXPECT_EQ(preprocessing_of(info, "keras-train", "m").preset, image::Preset::kKerasTrain);
}

TEST(Preprocessing, RefusesMetadataThatCantBeFollowed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "expected a preset"},
      {R"({"preset": 3})", "preset: expected a text"},
      {R"({"preset": "tf"})", "unknown preset \"tf\""},
      {R"({"preset": "timm", "image_size": [96, 96]})", "expected 224x224 as in gcvit.config, found 96x96"},
      {R"({"preset": "timm", "crop_pct": "big"})", "crop_pct: expected a number"},
      {R"({"preset": "timm", "crop_pct": 0})", "crop_pct"},
      {R"({"preset": "timm", "std": [1, 0, 1]})", "std"},
      {R"({"preset": "timm", "mean": [1, 1]})", "mean: expected an array of 3, found an array of 2"}};
  for (const auto& [json, sentence] : cases) {
    weights::ModelInfo info;
    info.preprocess_json = json;
    const std::string error = error_of([&info = info] { preprocessing_of(info, "auto", "file.st"); });
    EXPECT_NE(error.find("file.st"), std::string::npos) << error;
    EXPECT_NE(error.find(sentence), std::string::npos) << error << " for " << json;
  }
}

}  // namespace
}  // namespace gcvit::inference
