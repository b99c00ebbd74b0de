// SPDX-License-Identifier: Apache-2.0
#include "inference/run_images.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"
#include "formats/safetensors.h"

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
  Session session(Model::open(images.folder / "m.safetensors", {.threads = threads}));
  Outcome outcome;
  run_images(session, batch, images.images, [&](const ImageLogits& image) {
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
  Session session(Model::open(images.folder / "m.safetensors"));
  int taken = 0;
  EXPECT_THROW(run_images(session, 8, images.images,
                          [&](const ImageLogits&) {
                            if (++taken == 2) throw std::runtime_error("enough");
                          }),
               std::runtime_error);
  EXPECT_EQ(taken, 2);
}

TEST(RunImages, LogitsThatArentFiniteSpoilTheirImageAlone) {
  const TemporaryFolder folder;
  testing::write_tiny_model(folder / "m.safetensors", testing::colour_names());
  // Divided by so little everything overflows but black.
  formats::RawFile raw = formats::read_safetensors(folder / "m.safetensors");
  raw.metadata["gcvit.preprocess"] = R"({"preset":"timm","mean":[0,0,0],"std":[1e-39,1e-39,1e-39]})";
  formats::write_safetensors(folder / "m.safetensors", raw.tensors, raw.metadata);
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
  Session session(Model::open(folder / "m.safetensors"));
  std::vector<bool> overflowed;
  run_images(session, 3, images, [&](const ImageLogits& image) {
    overflowed.push_back(image.overflowed);
    EXPECT_EQ(image.logits.empty(), image.overflowed);
  });
  EXPECT_EQ(overflowed, (std::vector<bool>{false, true, false, true}));
}

}  // namespace
}  // namespace gcvit::inference
