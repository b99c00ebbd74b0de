// SPDX-License-Identifier: Apache-2.0
#include "inference/session.h"

#include <gtest/gtest.h>

#include <cmath>

#include "inference/labels.h"
#include "inference/preprocessing.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"
#include "weights/safetensors.h"

namespace gcvit::inference {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;

/// A folder with the tiny model and `count` photos, of which every third is broken.
struct Images {
  TemporaryFolder folder;
  std::vector<Image> images;

  explicit Images(int count) {
    testing::write_tiny_model(folder / "m.safetensors", testing::colour_names());
    for (int i = 0; i < count; ++i) {
      const std::string path = folder / (std::to_string(i) + ".png");
      const std::string png = testing::blob_png(static_cast<unsigned>(i));
      write_text(path, i % 3 == 2 ? std::string_view(png).substr(0, png.size() / 2) : std::string_view(png));
      images.push_back(Image::file(path));
    }
  }
};

struct Outcome {
  std::vector<std::size_t> order;
  std::vector<std::vector<float>> logits;
  std::vector<std::string> errors;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const Images& images, int threads, int batch) {
  ClassifierOptions options;
  options.threads = threads;
  options.batch = batch;
  Session session(images.folder / "m.safetensors", options);
  Outcome outcome;
  run_images(session, images.images, [&](const ImageLogits& image) {
    outcome.order.push_back(image.image);
    outcome.logits.emplace_back(image.logits.begin(), image.logits.end());
    outcome.errors.emplace_back(image.error);
  });
  return outcome;
}

TEST(RunImages, GivesTheSameForAnyThreadsAndBatch) {
  const Images images(20);
  const Outcome one = run(images, 1, 1);
  ASSERT_EQ(one.order.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(one.order[i], i);
    EXPECT_EQ(one.logits[i].size(), i % 3 == 2 ? 0u : 7u);
    EXPECT_EQ(one.errors[i].empty(), i % 3 != 2) << one.errors[i];
  }
  EXPECT_NE(one.logits[0], one.logits[1]);
  EXPECT_TRUE(run(images, 1, 8) == one);
  EXPECT_TRUE(run(images, 2, 3) == one);
  EXPECT_TRUE(run(images, 7, 64) == one);
}

TEST(RunImages, NothingButBrokenImagesEndsToo) {
  Images images(3);
  for (int i = 0; i < 100; ++i) images.images.push_back(Image::file(images.folder / "missing.jpg"));
  images.images.erase(images.images.begin(), images.images.begin() + 2);
  const Outcome outcome = run(images, 2, 4);
  EXPECT_EQ(outcome.order.size(), 101u);
  for (const std::string& error : outcome.errors) EXPECT_FALSE(error.empty());
}

TEST(RunImages, AnExceptionOfTheTakerEndsIt) {
  const Images images(9);
  Session session(images.folder / "m.safetensors", {});
  int taken = 0;
  EXPECT_THROW(run_images(session, images.images,
                          [&](const ImageLogits&) {
                            if (++taken == 2) throw std::runtime_error("enough");
                          }),
               std::runtime_error);
  EXPECT_EQ(taken, 2);
}

TEST(TopPredictions, AreSortedAndSumToOne) {
  const Images images(0);
  const Session session(images.folder / "m.safetensors", {});
  const std::vector<float> logits{0, 3, 1, 3, -1, 2, 0};
  const std::vector<Prediction> all = top_predictions(session, logits, 100);
  ASSERT_EQ(all.size(), 7u);
  const std::int32_t order[] = {1, 3, 5, 2, 0, 6, 4};
  double sum = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(all[i].index, order[i]);
    EXPECT_EQ(all[i].label, testing::colour_names()[static_cast<std::size_t>(order[i])]);
    sum += static_cast<double>(all[i].probability);
  }
  EXPECT_NEAR(sum, 1.0, 1e-6);
  EXPECT_NEAR(all[0].probability / all[2].probability, std::exp(1.0), 1e-5);
  EXPECT_EQ(top_predictions(session, logits, 2).size(), 2u);
  EXPECT_NE(error_of([&] { top_predictions(session, logits, 0); }).find("at least 1"), std::string::npos);
}

TEST(Engine, RefusesWhatIsNoWholeImage) {
  const Images images(0);
  Session session(images.folder / "m.safetensors", {});
  std::vector<float> input(64 * 64 * 3, 0.5f);
  EXPECT_EQ(session.engine.run(input).size(), 7u);
  EXPECT_NE(error_of([&] { session.engine.run(std::span(input).subspan(1)); }).find("64x64x3"), std::string::npos);
  EXPECT_NE(error_of([&] { session.engine.run({}); }).find("found 0 floats"), std::string::npos);
}

TEST(RunImages, LogitsThatArentFiniteSpoilTheirImageAlone) {
  const TemporaryFolder folder;
  testing::write_tiny_model(folder / "m.safetensors", testing::colour_names());
  // Divided by so little everything overflows but black.
  weights::RawFile raw = weights::read_safetensors(folder / "m.safetensors");
  raw.metadata["gcvit.preprocess"] = R"({"preset":"timm","mean":[0,0,0],"std":[1e-39,1e-39,1e-39]})";
  weights::write_safetensors(folder / "m.safetensors", raw.tensors, raw.metadata);
  const std::vector<std::uint8_t> black(64 * 64 * 3, 0);
  const std::vector<std::uint8_t> white(64 * 64 * 3, 255);
  const std::vector<Image> images{Image::pixels(black, 64, 64, "b0"), Image::pixels(white, 64, 64, "w1"),
                                  Image::pixels(black, 64, 64, "b2"), Image::pixels(white, 64, 64, "w3")};
  Classifier classifier(folder / "m.safetensors", {.batch = 4});
  const std::vector<ImageResult> results = classifier.classify(images, 1);
  ASSERT_EQ(results.size(), 4u);
  const float expected = classifier.classify(images[0], 1).front().probability;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(results[i].error, "");
      EXPECT_EQ(results[i].predictions.front().probability, expected);
    } else {
      EXPECT_EQ(results[i].error, "[classifier] " + images[i].name() +
                                      ": logit 0 is nan: the input is not finite or the weights overflow float32");
      EXPECT_TRUE(results[i].predictions.empty());
    }
  }
  std::vector<float> tensors = classifier.preprocess(images[0]);
  const std::vector<float> other = classifier.preprocess(images[1]);
  tensors.insert(tensors.end(), other.begin(), other.end());
  EXPECT_EQ(error_of([&] { classifier.logits(tensors); }).find("[classifier] image 1 of 2: logit 0 is nan"), 0u);
  EXPECT_NE(error_of([&] { classifier.classify(images[3], 1); }).find("logit 0 is nan"), std::string::npos);
  Session session(folder / "m.safetensors", {.batch = 3});
  std::vector<bool> overflowed;
  run_images(session, images, [&](const ImageLogits& image) {
    overflowed.push_back(image.overflowed);
    EXPECT_EQ(image.logits.empty(), image.overflowed);
  });
  EXPECT_EQ(overflowed, (std::vector<bool>{false, true, false, true}));
}

TEST(Session, RefusesOptionsOutOfRange) {
  const Images images(0);
  const std::string file = images.folder / "m.safetensors";
  EXPECT_NE(error_of([&] { Session(file, {.batch = 0}); }).find("expected 1 to 1024 photos"), std::string::npos);
  EXPECT_NE(error_of([&] { Session(file, {.threads = -1}); }).find("found -1"), std::string::npos);
  EXPECT_NE(error_of([&] { Session(file, {.preprocess = "imagenet"}); }).find("found \"imagenet\""), std::string::npos);
  EXPECT_NE(error_of([&] { Session(file, {.image_height = 100, .image_width = 96}); }).find("96 or 128"),
            std::string::npos);
  EXPECT_NE(error_of([&] { Session(file, {.window_mode = "stretched"}); }).find("found \"stretched\""),
            std::string::npos);
}

TEST(Session, OpensAFileForOtherImages) {
  const Images images(0);
  const std::string file = images.folder / "m.safetensors";
  for (const std::string mode : {"exact", "fixed"}) {
    const Session session(file, {.image_height = 96, .image_width = 160, .window_mode = mode});
    EXPECT_EQ(session.engine.config().image_size(), (model::ImageSize{96, 160}));
    EXPECT_EQ(session.engine.config().native_image.has_value(), mode == "fixed");
    EXPECT_EQ(session.preparation.preprocess.height, 96);
    EXPECT_EQ(session.preparation.preprocess.width, 160);
  }
}

TEST(Labels, ComeFromTheFileElseImageNetElseNumbers) {
  weights::ModelInfo info;
  info.config.classes = 3;
  EXPECT_EQ(class_labels(info), (std::vector<std::string>{"class 0", "class 1", "class 2"}));
  info.classes = {"a", "b", "c"};
  EXPECT_EQ(class_labels(info), info.classes);
  info.classes.clear();
  info.config.classes = 1000;
  const std::vector<std::string> labels = class_labels(info);
  ASSERT_EQ(labels.size(), 1000u);
  EXPECT_EQ(labels[0], "tench");
  EXPECT_EQ(labels[285], "Egyptian_cat");
}

TEST(Labels, WordNetIdsFollowTheLabels) {
  weights::ModelInfo info;
  const std::vector<std::string> ids = wordnet_ids(class_labels(info));
  ASSERT_EQ(ids.size(), 1000u);
  EXPECT_EQ(ids[0], "n01440764");
  EXPECT_EQ(ids[134], "n02012849");  // crane, the bird
  EXPECT_EQ(ids[517], "n03126707");  // crane, the machine
  EXPECT_EQ(wordnet_ids({"Egyptian_cat", "tench"}), (std::vector<std::string>{"n02124075", "n01440764"}));
  EXPECT_TRUE(wordnet_ids({"tench", "my cat"}).empty());
}

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
