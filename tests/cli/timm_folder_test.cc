// SPDX-License-Identifier: Apache-2.0
// gcvit convert --layout timm into a folder. tools/parity/check_timm_folder.py lets timm itself open such folders.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;

struct TimmFolder : Cli {
  /// timm's xxtiny told to be narrower, on smaller images.
  TimmFolder() {
    model::GCViTConfig config = model::with_image_size({}, {96, 64}, model::WindowMode::kExact);
    config.dim = 32;
    config.mlp_ratio = 1.0;
    config.classes = 7;
    save("xx.safetensors", config);
    config = model::with_image_size(config, {64, 64}, model::WindowMode::kExact);
    save("square.safetensors", config);
    config.depths = {1, 1, 2, 1};
    save("other.safetensors", config);
  }

  void save(const std::string& name, const model::GCViTConfig& config) {
    model::GCViT values(config);
    testing::fill_alive(values, 3);
    weights::ModelInfo info;
    info.config = config;
    info.classes = testing::colour_names();
    weights::save_model(folder / name, values, info);
  }
};

TEST_F(TimmFolder, HasTheConfigThatTimmReads) {
  const Result result = gcvit("convert xx.safetensors made --layout timm");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("timm.create_model(\"local-dir:made\", pretrained=True)\n"), std::string::npos)
      << result.err;
  EXPECT_EQ(result.err.find("not written"), std::string::npos) << result.err;
  const json config = json::parse(read_text(folder / "made/config.json"));
  EXPECT_EQ(config["architecture"], "gcvit_xxtiny");
  EXPECT_EQ(config["num_classes"], 7);
  EXPECT_EQ(config["num_features"], 256);
  EXPECT_EQ(config["label_names"], json(testing::colour_names()));
  EXPECT_EQ(config["model_args"], (json{{"img_size", {96, 64}}, {"embed_dim", 32}, {"mlp_ratio", 1}}));
  const json& data = config["pretrained_cfg"];
  EXPECT_EQ(data["input_size"], (json{3, 96, 64}));
  EXPECT_EQ(data["mean"], (json{0.485, 0.456, 0.406}));
  EXPECT_EQ(data["crop_pct"], 0.875);
  EXPECT_EQ(data["crop_mode"], "center");
  EXPECT_EQ(data["interpolation"], "bicubic");
  EXPECT_EQ(data["num_classes"], 7);
}

TEST_F(TimmFolder, IsReadBackWithNamesAndTheSameAnswers) {
  ASSERT_EQ(gcvit("convert square.safetensors made/ --layout timm").code, 0);
  const std::string photo = image(1);
  const Result before = gcvit("classify -m square.safetensors " + photo);
  const Result after = gcvit("classify -m made " + photo);
  EXPECT_EQ(after.code, 0) << after.err;
  EXPECT_EQ(after.out, before.out);
}

TEST_F(TimmFolder, SaysWhereTimmPreparesPhotosOtherwise) {
  const weights::LoadedModel loaded = weights::load_model(folder / "xx.safetensors", {});
  weights::ModelInfo info = loaded.info;
  info.preprocess_json = R"({"preset": "keras"})";
  weights::save_model(folder / "keras.safetensors", *loaded.model, info);
  const Result result = gcvit("convert keras.safetensors made --layout timm");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("nearest to the preset keras: answers will differ a little"), std::string::npos)
      << result.err;
  const json data = json::parse(read_text(folder / "made/config.json"))["pretrained_cfg"];
  EXPECT_EQ(data["crop_mode"], "squash");
  EXPECT_EQ(data["crop_pct"], 1.0);
  EXPECT_EQ(data["interpolation"], "bilinear");
}

TEST_F(TimmFolder, IsNewOrEmptyAndWholeOrNotThere) {
  const std::size_t before = files_left();
  expect_failure("convert other.safetensors made --layout timm", "timm has no registered model of these depths");
  expect_failure("convert xx.safetensors made --layout timm --image-size 128x64 --window-mode fixed",
                 "its windows change with the image size");
  expect_failure("convert xx.safetensors m.safetensors/made --layout timm", "can't be made");
  expect_failure("convert xx.safetensors . --layout timm", "expected a new or empty folder, found one with files");
  expect_failure("convert xx.safetensors made", "expected a name that ends in .safetensors");
  EXPECT_EQ(files_left(), before);
  // The second file can't be written: the first is removed again.
  const Result full = shell("ulimit -f 3; \"$G\" convert xx.safetensors made --layout timm");
  EXPECT_EQ(full.code, 1) << full.err;
  EXPECT_EQ(files_left(), before);
  std::filesystem::create_directory(folder / "empty");
  EXPECT_EQ(gcvit("convert xx.safetensors empty --layout timm").code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "empty/model.safetensors"));
}

TEST_F(TimmFolder, AFileIsLoadedByItsRegisteredNameOrTheClass) {
  const Result result = gcvit("convert xx.safetensors t.safetensors --layout timm");
  EXPECT_NE(result.err.find(
                "    model = timm.create_model(\"gcvit_xxtiny\", checkpoint_path=\"t.safetensors\", num_classes=7, "
                "img_size=[96, 64], embed_dim=32, mlp_ratio=1)\n"),
            std::string::npos)
      << result.err;
  const Result other = gcvit("convert other.safetensors t.pth --layout timm");
  EXPECT_NE(
      other.err.find("    from timm.models.gcvit import GlobalContextVit\n"
                     "    model = GlobalContextVit(embed_dim=32, depths=[1, 1, 2, 1], num_heads=[2, 4, 8, 16], "
                     "window_size=[2, 2, 4, 2], mlp_ratio=1, layer_scale=None, num_classes=7, img_size=[64, 64])\n"),
      std::string::npos)
      << other.err;
}

}  // namespace
}  // namespace gcvit
