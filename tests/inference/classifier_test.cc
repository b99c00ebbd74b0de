// SPDX-License-Identifier: Apache-2.0
#include "gcvit/classifier.h"

#include <gtest/gtest.h>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;

struct ClassifierTest : ::testing::Test {
  TemporaryFolder folder;
  std::string file = folder / "m.safetensors";
  ClassifierTest() { testing::write_tiny_model(file, testing::colour_names()); }
};

std::string shown(const std::vector<Prediction>& predictions) {
  std::string text;
  for (const Prediction& one : predictions) {
    text += std::to_string(one.index) + one.label + std::to_string(one.probability) + " ";
  }
  return text;
}

TEST_F(ClassifierTest, AFileItsBytesAndItsPixelsAreOneImage) {
  Classifier classifier(file, {.threads = 2});
  const std::vector<std::uint8_t> pixels = testing::blob_pixels(40, 56, 1);
  const std::string png = testing::png_of(pixels, 40, 56);
  write_text(folder / "a.png", png);
  const auto by_file = classifier.classify(Image::file(folder / "a.png"), 3);
  ASSERT_EQ(by_file.size(), 3u);
  EXPECT_EQ(shown(classifier.classify(Image::encoded(std::as_bytes(std::span(png))), 3)), shown(by_file));
  EXPECT_EQ(shown(classifier.classify(Image::pixels(pixels, 40, 56), 3)), shown(by_file));
  EXPECT_EQ(by_file[0].label, classifier.label(by_file[0].index));
}

TEST_F(ClassifierTest, ManyImagesGiveWhatEachGivesAlone) {
  Classifier classifier(file, {.threads = 2, .batch = 3});
  const std::string broken = "not a picture";
  std::vector<std::string> pngs;
  for (unsigned i = 0; i < 8; ++i) pngs.push_back(i == 4 ? broken : testing::blob_png(i));
  std::vector<Image> images;
  for (const std::string& png : pngs) images.push_back(Image::encoded(std::as_bytes(std::span(png)), "photo"));
  const std::vector<ImageResult> results = classifier.classify(images, 2);
  ASSERT_EQ(results.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(results[i].image, i);
    if (i == 4) {
      EXPECT_NE(results[i].error.find("photo"), std::string::npos) << results[i].error;
      EXPECT_TRUE(results[i].predictions.empty());
    } else {
      EXPECT_EQ(shown(results[i].predictions), shown(classifier.classify(images[i], 2)));
    }
  }
  EXPECT_THROW(classifier.classify(images[4], 2), Error);
  EXPECT_TRUE(classifier.classify(std::span<const Image>(), 2).empty());
}

TEST_F(ClassifierTest, LogitsOfMoreThanABatch) {
  Classifier classifier(file, {.batch = 2});
  const auto tensor = classifier.preprocess(Image::pixels(testing::blob_pixels(20, 30, 3), 20, 30));
  ASSERT_EQ(tensor.size(), 64u * 64u * 3u);
  const std::vector<float> one = classifier.logits(tensor);
  ASSERT_EQ(one.size(), 7u);
  std::vector<float> five;
  for (int i = 0; i < 5; ++i) five.insert(five.end(), tensor.begin(), tensor.end());
  const std::vector<float> all = classifier.logits(five);
  ASSERT_EQ(all.size(), 35u);
  for (std::size_t i = 0; i < 35; ++i) EXPECT_EQ(all[i], one[i % 7]);
}

TEST_F(ClassifierTest, TellsAboutItself) {
  Classifier classifier(file);
  EXPECT_EQ(classifier.classes(), 7);
  EXPECT_EQ(classifier.image_height(), 64);
  EXPECT_EQ(classifier.image_width(), 64);
  EXPECT_EQ(classifier.label(1), "Dark_Orange");
  EXPECT_NE(classifier.preprocessing().find("timm"), std::string::npos);
  Classifier moved = std::move(classifier);
  EXPECT_EQ(moved.classes(), 7);
}

TEST_F(ClassifierTest, ErrorsAreSentences) {
  Classifier classifier(file);
  EXPECT_NE(error_of([&] { classifier.label(7); }).find("expected 0 to 6, found 7"), std::string::npos);
  EXPECT_NE(error_of([&] { classifier.logits({}); }).find("64x64x3"), std::string::npos);
  EXPECT_NE(error_of([&] { Classifier(folder / "none"); }).find(folder / "none"), std::string::npos);
  const std::vector<std::uint8_t> pixels(12);
  EXPECT_NE(error_of([&] { Image::pixels(pixels, 2, 3); }).find("found 12 bytes"), std::string::npos);
  EXPECT_NE(error_of([&] { Image::pixels({}, 0, 3); }).find("found 0 bytes"), std::string::npos);
  const std::vector<Image> images{Image::pixels(pixels, 2, 2)};
  EXPECT_NE(error_of([&] { classifier.classify(images, 0); }).find("at least 1"), std::string::npos);
}

TEST_F(ClassifierTest, RefusesWhatNeedsMoreMemoryThanAllowed) {
  const std::vector<std::uint8_t> pixels = testing::blob_pixels(40, 56, 1);
  const Image image = Image::pixels(pixels, 40, 56);
  const std::string sentence = error_of([&] { Classifier(file, {.threads = 1, .max_memory = 32 << 20}); });
  EXPECT_TRUE(sentence.starts_with("[memory] 1 image of ")) << sentence;
  EXPECT_TRUE(sentence.ends_with("32 MiB allowed; a larger --max-memory allows more")) << sentence;
  Classifier enough(file, {.threads = 1, .max_memory = 512 << 20});
  Classifier unlimited(file, {.threads = 1});
  EXPECT_EQ(shown(enough.classify(image, 3)), shown(unlimited.classify(image, 3)));
  // Nothing that an image of any size would need is allocated before.
  const ClassifierOptions large{.threads = 1,
                                .image_height = 16384,
                                .image_width = 16384,
                                .window_mode = WindowMode::kFixed,
                                .max_memory = std::uint64_t{4} << 30};
  EXPECT_TRUE(error_of([&] { Classifier(file, large); }).starts_with("[memory] 1 image of 16384x16384 at a time: "));
  // Nor what a batch needs; it is no larger than the photos are many.
  Classifier batches(file, {.threads = 1, .batch = 1024, .max_memory = 80 << 20});
  EXPECT_EQ(shown(batches.classify(image, 3)), shown(unlimited.classify(image, 3)));
  const std::vector<Image> many(1024, image);
  EXPECT_TRUE(error_of([&] { batches.classify(many, 1); }).starts_with("[memory] 1024 images of "));
}

}  // namespace
}  // namespace gcvit
