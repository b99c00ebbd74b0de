// SPDX-License-Identifier: Apache-2.0
#include "weights/load.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "model/initialise.h"
#include "tests/weights/test_files.h"
#include "weights/names.h"
#include "formats/safetensors.h"

namespace gcvit::weights {
namespace {

model::GCViTConfig tiny_config() {
  model::GCViTConfig config;
  config.dim = 8;
  config.depths = {1, 1, 1, 1};
  config.heads = {1, 2, 4, 2};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 1.0;
  config.classes = 2;
  config.image_height = config.image_width = 64;
  return config;
}

class ModelFolder : public ::testing::Test {
 protected:
  ModelFolder() : model_(tiny_config()) { model::initialise(model_, 3); }

  /// The model in timm's names.
  void write_timm(const std::string& name) {
    std::vector<formats::NamedTensor> tensors;
    for (const model::Parameter* parameter : std::as_const(model_).parameters()) {
      tensors.push_back(to_layout(Layout::kTimm, {parameter->name, parameter->tensor}));
    }
    formats::write_safetensors(folder_ / name, tensors, {});
  }
  void write_ours(const std::string& name, const std::string& first_class) {
    ModelInfo info;
    info.classes = {first_class, "b"};
    save_model(folder_ / name, model_, info);
  }
  std::string path() const { return folder_ / ""; }
  std::string refusal(const std::string& name = "") const {
    return error_of([&] { load_model(folder_ / name); });
  }

  model::GCViT model_;
  TemporaryFolder folder_;
};

TEST_F(ModelFolder, ARunsFolderIsItsBestModel) {
  write_ours("last.safetensors", "last");
  write_text(folder_ / "config.json", "{\"recipe\": \"tutorial\"}");
  const LoadedModel last = load_model(path());
  EXPECT_EQ(last.info.classes.front(), "last");
  EXPECT_EQ(last.report.notices, (std::vector<std::string>{path() + ": a run's folder without a best.safetensors: its "
                                                                    "last.safetensors is used"}));
  write_ours("best.safetensors", "best");
  const LoadedModel best = load_model(path());
  EXPECT_EQ(best.info.classes.front(), "best");
  EXPECT_EQ(best.report.notices, (std::vector<std::string>{path() + ": a run's folder: its best.safetensors is used"}));
  EXPECT_EQ(best.info.source.file, folder_ / "best.safetensors");
}

TEST_F(ModelFolder, AConfigBesideALoneFileIsUsedWhereItIsAboutThatModel) {
  write_timm("mine.safetensors");
  const auto load = [&](const std::string& config, const std::string& name = "mine.safetensors") {
    write_text(folder_ / "config.json", config);
    return load_model(folder_ / name);
  };
  const std::string data = R"("input_size": [3, 64, 64], "crop_pct": 0.5, "label_names": ["x", "y"]})";
  const LoadedModel own = load(R"({"architecture": "gcvit_mine", )" + data);
  EXPECT_EQ(own.info.classes, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(own.info.preprocess_json, R"({"preset":"timm","crop_pct":0.5,"squash":false})");
  EXPECT_EQ(own.info.source.preprocess, folder_ / "config.json");
  EXPECT_TRUE(own.report.notices.empty());

  const auto expect_left_alone = [&](const std::string& config, const std::string& reason) {
    const LoadedModel loaded = load(config);
    EXPECT_TRUE(loaded.info.classes.empty());
    EXPECT_TRUE(loaded.info.preprocess_json.empty());
    EXPECT_EQ(loaded.report.notices, (std::vector<std::string>{folder_ / "config.json" + ": is left alone" + reason}));
  };
  expect_left_alone(R"({"architecture": "gcvit_xxtiny", )" + data, ", as it is about another model: \"gcvit_xxtiny\"");
  expect_left_alone(R"({"architecture": "gcvit_mine", "num_classes": 1000, )" + data,
                    ", as it is about another model: num_classes: expected 2 as the head has, found 1000");
  expect_left_alone(
      R"({"architecture": "resnet18"})",
      ": " + folder_ / "config.json" + ": architecture: expected a GCViT, as \"gcvit_xxtiny\", found \"resnet18\"");
  const LoadedModel other = load(R"({"name": "my web page"})");
  EXPECT_TRUE(other.report.notices.empty());
  EXPECT_TRUE(other.info.preprocess_json.empty());
}

TEST_F(ModelFolder, AFoldersConfigMustFit) {
  write_timm("model.safetensors");
  const auto refusal_of = [&](const std::string& config) {
    write_text(folder_ / "config.json", config);
    return refusal();
  };
  const std::string config = "[weights] " + folder_ / "config.json" + ": ";
  EXPECT_EQ(refusal_of(R"({"architecture": "gcvit_mine", "num_classes": 3})"),
            config + "num_classes: expected 2 as the head has, found 3");
  EXPECT_EQ(refusal_of(R"({"architecture": "gcvit_mine", "label_names": ["a"]})"),
            config + "label_names: expected 2 names as the head has classes, found 1");
  EXPECT_EQ(refusal_of(R"({"architecture": "gcvit_mine", "id2label": {"1": "a", "2": "b"}})"),
            config + "id2label: expected names of the classes 0 to 1 as the head has, found 1 to 2");
  EXPECT_EQ(refusal_of(R"({"architecture": "gcvit_mine", "labels": ["a", "b", "c"]})"),
            config + "labels: expected 2 names as the head has classes, found 3");
  EXPECT_EQ(refusal_of(R"({"architecture": "resnet18"})"),
            config + "architecture: expected a GCViT, as \"gcvit_xxtiny\", found \"resnet18\"");
  EXPECT_EQ(refusal_of("{"), config + "not JSON in UTF-8 at byte 1");
  // Another library's.
  write_text(folder_ / "config.json", R"({"model_type": "gcvit"})");
  EXPECT_EQ(load_model(path()).report.notices,
            (std::vector<std::string>{folder_ / "config.json" +
                                      ": is left alone: it names no \"architecture\", as timm's do"}));
  // The tensors know their size.
  write_text(folder_ / "config.json", R"({"architecture": "gcvit_mine", "input_size": [3, 224, 224]})");
  const LoadedModel loaded = load_model(path());
  EXPECT_EQ(loaded.model->config().image_height, 64);
  EXPECT_EQ(
      loaded.report.notices,
      (std::vector<std::string>{folder_ / "config.json" +
                                ": input_size is 224x224, but the tensors are for 64x64 images, which are used"}));
  // A new head has other classes.
  write_text(folder_ / "config.json", R"({"architecture": "gcvit_mine", "label_names": ["a", "b"]})");
  EXPECT_TRUE(load_model(path(), {.classes = 7}).info.classes.empty());
  EXPECT_EQ(load_model(path(), {.classes = 2}).info.classes.size(), 2u);
}

TEST_F(ModelFolder, AConfigIsNoIndexOfShards) {
  write_timm("model.safetensors");
  write_text(folder_ / "config.json", R"({"architecture": "gcvit_mine", "label_names": ["a", "b"]})");
  write_text(folder_ / "preprocessor_config.json", R"({"size": 224})");
  EXPECT_EQ(refusal("config.json"), "[safetensors] " + folder_ / "config.json" +
                                        ": expected an index with a \"weight_map\", found a config.json, which "
                                        "describes the model beside it: name the folder instead");
  EXPECT_TRUE(refusal("preprocessor_config.json").ends_with("expected an index with a \"weight_map\", found none"));
}

TEST_F(ModelFolder, OtherFoldersAreCalledWhatTheyAre) {
  EXPECT_EQ(refusal(),
            "[weights] " + path() +
                ": expected a model's file, or a folder with model.safetensors, pytorch_model.bin, model.weights.h5 or "
                "best.safetensors, found an empty folder");
  write_text(folder_ / "a.jpg", "");
  EXPECT_TRUE(refusal().ends_with("found a folder of 1 entry, as \"a.jpg\"")) << refusal();
  write_text(folder_ / "pytorch_model.bin.index.json", "{}");
  EXPECT_NE(refusal().find("found PyTorch's shards; save them again as .safetensors"), std::string::npos);
  write_text(folder_ / "saved_model.pb", "");
  EXPECT_NE(refusal().find("found a TensorFlow SavedModel; save the weights with"), std::string::npos);
}

TEST_F(ModelFolder, AShardAloneIsNoModel) {
  write_timm("model-00001-of-00002.safetensors");
  EXPECT_NO_THROW(load_model(folder_ / "model-00001-of-00002.safetensors"));  // there is no index
  write_text(folder_ / "model.safetensors.index.json", "{}");
  EXPECT_EQ(refusal("model-00001-of-00002.safetensors"),
            "[weights] " + folder_ / "model-00001-of-00002.safetensors" +
                ": expected a whole model, found one of several shards: name \"model.safetensors.index.json\" instead");
  write_timm("model-00001-of-00001.safetensors");
  EXPECT_NO_THROW(load_model(folder_ / "model-00001-of-00001.safetensors"));
}

TEST_F(ModelFolder, FilesOfOtherKindsAreCalledWhatTheyAre) {
  const auto expect = [&](const std::string& name, std::string_view bytes, const std::string& found) {
    write_text(folder_ / name, bytes);
    EXPECT_EQ(refusal(name), "[weights] " + folder_ / name + ": expected a weight file, found " + found);
  };
  expect("m.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 2\n",
         "a Git LFS pointer (fetch the file itself with `git lfs pull`)");
  expect("m.pth", "<!DOCTYPE html>\n<html>", "an HTML page");
  expect("m.h5", "{\"error\": \"Invalid username or password.\"}",
         "JSON that begins {\"error\": \"Invalid username or password.\"}");
  expect("m.bin", "\x1f\x8b\x08", "a gzip file (unpack it first)");
  expect("m.onnx", "\x08\x08\x12\x07pytorch", "an ONNX model");
  expect("m.jpg", "\xff\xd8\xff", "a JPEG image");
  write_text(folder_ / "model.safetensors.index.json", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_EQ(refusal(), "[safetensors] " + folder_ / "model.safetensors.index.json" +
                           ": expected JSON, found a Git LFS pointer (fetch the file itself with `git lfs pull`)");
}

}  // namespace
}  // namespace gcvit::weights
