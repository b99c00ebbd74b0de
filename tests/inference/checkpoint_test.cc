// SPDX-License-Identifier: Apache-2.0
// Checkpoints as those write them who train, against what their producers computed (tests/data/parity, written by
// tools/parity/make_checkpoint_references.py and make_keras_saves.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "inference/run_images.h"
#include "inference/session_state.h"
#include "weights/load.h"
#include "gcvit/classifier.h"
#include "base/error.h"
#include "tests/testing/unzip.h"
#include "tests/weights/test_files.h"
#include "formats/safetensors.h"
#include "formats/zip_archive.h"
#include "formats/zip_writer.h"

namespace gcvit::inference {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;

constexpr double kTolerance = 1e-5;

/// Writes the files of an archive in an archive into a folder.
void unpack(const std::string& name, const TemporaryFolder& folder) {
  const std::string bytes = testing::unzip(std::string(GCVIT_TEST_DATA) + "/parity/" + name).begin()->second;
  const formats::ZipArchive files(std::as_bytes(std::span(bytes)), name);
  for (const formats::ZipArchive::Entry& entry : files.entries()) {
    const std::filesystem::path target = folder / std::string(entry.name);
    std::filesystem::create_directories(target.parent_path());
    write_text(target.string(), {reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size()});
  }
}

/// The files of an archive in a folder, and the reference among them.
struct Files {
  TemporaryFolder folder;
  std::map<std::string, Tensor> reference;

  explicit Files(const std::string& archive) {
    unpack(archive, folder);
    for (const formats::NamedTensor& entry : formats::read_safetensors(folder / "reference.safetensors").tensors) {
      reference.emplace(entry.name, entry.tensor.to_f32());
    }
  }
};

double relative_error(std::span<const float> found, std::span<const float> expected) {
  if (found.size() != expected.size()) return HUGE_VAL;
  double error = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i])));
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return error / largest;
}

Session open(const std::string& file, const ClassifierOptions& options) {
  return Session(Model::open(file, model_options_of(options)), session_options_of(options));
}

ClassifierOptions with(std::optional<bool> ema) {
  ClassifierOptions options;
  options.threads = 1;
  options.ema = ema;
  return options;
}

void expect_logits(const Files& files, const std::string& file, const std::string& expected,
                   std::optional<bool> ema = {}) {
  SCOPED_TRACE(file);
  Session session = open(files.folder / file, with(ema));
  const std::span<const float> logits = session.state().engine.run(files.reference.at("images").values());
  const double error = relative_error(logits, files.reference.at(expected).values());
  EXPECT_LT(error, kTolerance);
  ::testing::Test::RecordProperty("error_" + file + "_" + expected, fmt::format("{:.1e}", error));
}

class Checkpoints : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { files_ = std::make_unique<Files>("checkpoints.zip"); }
  static void TearDownTestSuite() { files_.reset(); }

  static std::vector<std::string> notices(const std::string& file, std::optional<bool> ema = {}) {
    return open(files_->folder / file, with(ema)).model().notices();
  }
  static std::string path(const std::string& file) { return files_->folder / file; }

  static std::unique_ptr<Files> files_;
};
std::unique_ptr<Files> Checkpoints::files_;

TEST_F(Checkpoints, GiveTheLogitsOfTheirProducers) {
  struct Case {
    const char* file;
    bool raw;
    bool averaged;
    bool averaged_by_itself = false;  ///< without being asked
  };
  for (const Case& one : {Case{"lightning.ckpt", true, false},
                          {"lightning_ema.ckpt", true, true},
                          {"lightning_averaging.ckpt", true, true, true},
                          {"averaged.pth", false, true, true},
                          {"ema_module.pth", true, true},
                          {"timm_saver.pth.tar", true, true},
                          {"wrapped.pth", true, false},
                          {"hf", true, false},
                          {"hf/model.safetensors", true, false},
                          {"hf/pytorch_model.bin", true, false},
                          {"wrapper", true, false}}) {
    expect_logits(*files_, one.file, one.averaged_by_itself ? "averaged" : "raw");
    if (one.raw) expect_logits(*files_, one.file, "raw", false);
    if (one.averaged) expect_logits(*files_, one.file, "averaged", true);
    if (!one.raw) {
      EXPECT_NE(error_of([&] { open(path(one.file), with(false)); }).find("expected raw weights, found averaged"),
                std::string::npos)
          << one.file;
    }
    if (!one.averaged) {
      EXPECT_NE(error_of([&] { open(path(one.file), with(true)); }).find("expected averaged (EMA) weights, found raw"),
                std::string::npos)
          << one.file;
    }
  }
}

TEST_F(Checkpoints, SayWhichOfTheirWeightsAreUsedAndWhatIsLeftOut) {
  const std::string left_out =
      ": 6 tensors are no part of the model and left out (\"criterion.weight\", \"metrics.loss.weight\", "
      "\"metrics.loss.bias\", ...)";
  EXPECT_EQ(notices("lightning.ckpt"), (std::vector{path("lightning.ckpt") + left_out}));
  EXPECT_EQ(notices("lightning_ema.ckpt"),
            (std::vector{path("lightning_ema.ckpt") +
                             ": holds raw weights (\"state_dict\" > \"net.\") and averaged ones (\"state_dict\" > "
                             "\"ema.module.\"): the raw ones are used; --ema takes the averaged ones",
                         path("lightning_ema.ckpt") + left_out}));
  EXPECT_EQ(notices("lightning_ema.ckpt", true), (std::vector{path("lightning_ema.ckpt") + left_out}));
  EXPECT_EQ(
      notices("ema_module.pth"),
      (std::vector{path("ema_module.pth") + ": holds raw weights (\"model\") and averaged ones (\"ema\" > "
                                            "\"module\"): the raw ones are used; --ema takes the averaged ones"}));
  EXPECT_EQ(notices("averaged.pth"), std::vector<std::string>{});
  EXPECT_EQ(notices("hf"), std::vector<std::string>{});
  EXPECT_EQ(error_of([&] { open(path("lightning.ckpt"), with(true)); }),
            "[weights] " + path("lightning.ckpt") +
                ": expected averaged (EMA) weights, found raw ones alone: \"state_dict\" > \"model.\"");
  EXPECT_EQ(
      error_of([&] { open(path("averaged.pth"), with(false)); }),
      "[weights] " + path("averaged.pth") + ": expected raw weights, found averaged (EMA) ones alone: \"module.\"");
}

TEST_F(Checkpoints, AFoldersConfigSaysHowImagesArePreparedAndClassesCalled) {
  for (const char* file : {"hf", "hf/model.safetensors", "hf/pytorch_model.bin", "wrapper"}) {
    SCOPED_TRACE(file);
    Classifier classifier(path(file), with({}));
    EXPECT_EQ(classifier.preprocessing(),
              "timm: squash to 71x71 (bilinear, antialiased), centre crop 64x64, mean 0.5 0.4 0.3, std 0.2 0.3 0.4");
    EXPECT_EQ(classifier.label(2), "newt");
    const std::vector<float> logits = classifier.logits(classifier.preprocess(Image::file(path("photo.png"))));
    EXPECT_LT(relative_error(logits, files_->reference.at("photo").values()), kTolerance);
    EXPECT_TRUE(classifier.notices().empty());
  }
}

TEST_F(Checkpoints, OtherWaysToPrepareImagesAreRefusedByName) {
  const std::string config = weights::read_text(path("hf/config.json"));
  std::filesystem::create_directory(path("other"));
  std::filesystem::copy_file(path("hf/model.safetensors"), path("other/model.safetensors"));
  const auto refusal = [&](std::string_view from, const std::string& to) {
    std::string other = config;
    other.replace(other.find(from), from.size(), to);
    write_text(path("other/config.json"), other);
    // Everything else works, and a preset may say how.
    EXPECT_EQ(weights::load_model(path("other")).info.classes.size(), 3u);
    ClassifierOptions options = with({});
    options.preprocess = Preset::kTimm;
    EXPECT_NO_THROW(open(path("other"), options));
    return error_of([&] { open(path("other"), with({})); });
  };
  const std::string place = "[model] " + path("other/config.json") + ": ";
  EXPECT_EQ(refusal("\"squash\"", "\"border\""),
            place + "crop_mode: expected \"center\" or \"squash\", found \"border\"");
  EXPECT_EQ(refusal("\"bilinear\"", "\"lanczos\""),
            place + "interpolation: expected \"bicubic\" or \"bilinear\", found \"lanczos\"");
  EXPECT_EQ(refusal("0.9", "1.5"), place + "crop_pct: expected more than 0 and at most 1, found 1.5");
  EXPECT_EQ(refusal("0.2,", "0,"), place + "std: expected positive numbers, found 0");
}

TEST(KerasSaves, WholeModelsAndShardsGiveTheLogitsOfTheirProducer) {
  const Files files("keras_saves.zip");
  expect_logits(files, "whole.h5", "logits");
  expect_logits(files, "functional.h5", "logits");
  expect_logits(files, "sharded.weights.json", "logits");
  expect_logits(files, "", "logits");  // the folder, which has one index
  for (const char* file : {"whole.h5", "functional.h5", "sharded.weights.json"}) {
    const weights::LoadedModel loaded = weights::load_model(files.folder / file);
    EXPECT_EQ(loaded.info.source.layout, "keras");
    EXPECT_TRUE(loaded.report.unexpected.empty()) << file << ": " << loaded.report.unexpected.front();
    EXPECT_TRUE(loaded.report.notices.empty());
  }
  // A group of another name in place of the input layer's, by itself and in an archive.
  std::string text = weights::read_text(files.folder / "functional.h5");
  const std::string input = "input_layer";
  const std::string scaling = "rescaling_1";
  for (std::size_t place = 0; (place = text.find(input, place)) != text.npos;)
    text.replace(place, input.size(), scaling);
  formats::ZipWriter archive(files.folder / "scaled.keras", formats::ZipStyle::kPlain);
  archive.add("config.json", std::string_view("{"));
  archive.add("model.weights.h5", text);
  archive.finish();
  const std::string input_class = "\"InputLayer\"";
  text.replace(text.find(input_class), input_class.size(), "\"Rescaling\" ");
  write_text(files.folder / "described.h5", text);
  const std::pair<const char*, const char*> said[] = {
      {"described.h5", ": the layer \"Rescaling\" stands before the model"},
      {"scaled.keras", ": the layer \"rescaling_1\" stands beside the model"}};
  for (const auto& [file, sentence] : said) {
    expect_logits(files, file, "logits");
    const std::vector<std::string> notices = weights::load_model(files.folder / file).report.notices;
    ASSERT_EQ(notices.size(), 1u);
    EXPECT_TRUE(notices[0].starts_with(files.folder / file + sentence)) << notices[0];
  }
  const std::string shard = files.folder / "sharded_00001.weights.h5";
  EXPECT_EQ(error_of([&] { weights::load_model(shard); }),
            "[weights] " + shard +
                ": expected a whole model, found one of several shards: name \"sharded.weights.json\" instead");
  std::filesystem::remove(shard);
  EXPECT_EQ(error_of([&] { weights::load_model(files.folder / "sharded.weights.json"); }),
            "[keras] " + files.folder / "sharded.weights.json" +
                ": 1 of 4 shards is missing beside it: \"sharded_00001.weights.h5\"");
}

}  // namespace
}  // namespace gcvit::inference
