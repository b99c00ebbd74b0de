// SPDX-License-Identifier: Apache-2.0
// What C gets has the bits of what C++ gets.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "gcvit/gcvit.h"
#include "gcvit/session.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

struct AgreementTest : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string file = folder / "m.safetensors";
  gcvit_model* in_c = nullptr;
  std::vector<float> tensors = testing::random_values(std::int64_t{3} * 64 * 64 * 3, 3);

  AgreementTest() { testing::write_tiny_model(file, testing::colour_names()); }
  ~AgreementTest() override { gcvit_model_free(in_c); }

  Session open(std::int32_t precision) {
    gcvit_options options = GCVIT_OPTIONS_INIT;
    options.precision = precision;
    EXPECT_EQ(gcvit_model_open(file.c_str(), &options, &in_c), GCVIT_OK) << gcvit_error_message();
    return Session(Model::open(file, {.precision = static_cast<Precision>(precision)}));
  }
};

TEST_F(AgreementTest, Logits) {
  for (const std::int32_t precision : {GCVIT_PRECISION_F32, GCVIT_PRECISION_BF16, GCVIT_PRECISION_INT8}) {
    Session session = open(precision);
    std::vector<float> logits(21);
    ASSERT_EQ(gcvit_logits_of_tensors(in_c, tensors.data(), 3, logits.data(), logits.size()), GCVIT_OK);
    EXPECT_EQ(logits, session.logits(tensors)) << precision;
    std::vector<float> probabilities(21);
    ASSERT_EQ(gcvit_probabilities(in_c, logits.data(), 3, probabilities.data(), 21), GCVIT_OK);
    EXPECT_EQ(probabilities, session.probabilities(tensors));
    gcvit_info info = GCVIT_INFO_INIT;
    ASSERT_EQ(gcvit_model_info(in_c, &info), GCVIT_OK);
    EXPECT_EQ(info.precision, precision);
    EXPECT_EQ(info.weight_bytes, session.model().weight_bytes());
    gcvit_model_free(in_c);
    in_c = nullptr;
  }
}

TEST_F(AgreementTest, Features) {
  Session session = open(GCVIT_PRECISION_F32);
  for (std::int32_t feature = GCVIT_LEVEL1; feature <= GCVIT_POOLED; ++feature) {
    const ValueShape expected = session.shape_of(static_cast<Feature>(feature));
    std::int32_t shape[3] = {};
    ASSERT_EQ(gcvit_feature_shape(in_c, feature, shape), GCVIT_OK);
    EXPECT_EQ((ValueShape{shape[0], shape[1], shape[2]}), expected);
    std::vector<float> values(3 * expected.size());
    ASSERT_EQ(gcvit_features_of_tensors(in_c, tensors.data(), 3, feature, values.data(), values.size()), GCVIT_OK);
    EXPECT_EQ(values, session.features(tensors, static_cast<Feature>(feature)));
  }
}

TEST_F(AgreementTest, PreprocessingAndPredictions) {
  Session session = open(GCVIT_PRECISION_AUTO);
  std::vector<unsigned char> pixels;
  for (int i = 0; i < 90 * 70 * 3; ++i) pixels.push_back(static_cast<unsigned char>(i * i % 251));
  gcvit_image* image = nullptr;
  ASSERT_EQ(gcvit_image_pixels(pixels.data(), pixels.size(), 90, 70, GCVIT_RGB, 0, nullptr, &image), GCVIT_OK);
  std::vector<float> tensor(64 * 64 * 3);
  EXPECT_EQ(gcvit_preprocess(in_c, image, tensor.data(), tensor.size()), GCVIT_OK);
  EXPECT_EQ(tensor, session.preprocess(Image::pixels(pixels, 90, 70)));

  gcvit_prediction best[3];
  std::size_t found = 0;
  EXPECT_EQ(gcvit_classify(in_c, image, 3, best, &found), GCVIT_OK);
  const std::vector<Prediction> expected = session.model().predictions(session.logits(tensor), 3);
  ASSERT_EQ(found, expected.size());
  for (std::size_t i = 0; i < found; ++i) {
    EXPECT_EQ(best[i].index, expected[i].index);
    EXPECT_EQ(best[i].probability, expected[i].probability);
    EXPECT_EQ(best[i].label, expected[i].label);
  }
  gcvit_image_free(image);
}

TEST_F(AgreementTest, PresetsHaveTheNumbersOfCxx) {
  for (const Preset preset : {Preset::kAuto, Preset::kTimm, Preset::kNvlabs, Preset::kKeras, Preset::kKerasTrain}) {
    gcvit_options options = GCVIT_OPTIONS_INIT;
    options.preprocess = static_cast<std::int32_t>(preset);
    ASSERT_EQ(gcvit_model_open(file.c_str(), &options, &in_c), GCVIT_OK);
    std::vector<unsigned char> pixels(100 * 80 * 3, 9);
    for (std::size_t i = 0; i < pixels.size(); i += 7) pixels[i] = 200;
    gcvit_image* image = nullptr;
    ASSERT_EQ(gcvit_image_pixels(pixels.data(), pixels.size(), 100, 80, GCVIT_RGB, 0, nullptr, &image), GCVIT_OK);
    std::vector<float> tensor(64 * 64 * 3);
    EXPECT_EQ(gcvit_preprocess(in_c, image, tensor.data(), tensor.size()), GCVIT_OK);
    Session session(Model::open(file), {.images = {.preprocess = preset}});
    EXPECT_EQ(tensor, session.preprocess(Image::pixels(pixels, 100, 80))) << name_of(preset);
    gcvit_image_free(image);
    gcvit_model_free(in_c);
    in_c = nullptr;
  }
}

}  // namespace
}  // namespace gcvit
