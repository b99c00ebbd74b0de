// SPDX-License-Identifier: Apache-2.0
#include "evaluate/rounding.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <vector>

#include "evaluate/evaluate.h"
#include "inference/session_state.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"
#include "weights/quantise.h"

namespace gcvit::evaluate {
namespace {

TEST(RelativeError, IsOfAllThatWasAdded) {
  RelativeError error;
  EXPECT_EQ(error.value(), 0.0);
  error.add(std::array{1.0f, 2.0f}, std::array{1.0f, 1.0f});
  error.add(std::array{3.0f}, std::array{2.0f});
  EXPECT_DOUBLE_EQ(error.value(), std::sqrt(2.0 / 6.0));
}

class RoundingStudyTest : public ::testing::Test {
 protected:
  RoundingStudyTest() {
    testing::write_tiny_model(file_, testing::colour_names());
    for (unsigned i = 0; i < 10; ++i) {
      const std::string folder = root_ + "/" + testing::colour_names()[i % 7];
      std::filesystem::create_directories(folder);
      weights::write_text(folder + "/" + std::to_string(i) + ".png", testing::blob_png(i));
    }
    weights::write_text(root_ + "/red/broken.png", "no");
    const Model model = Model::open(file_);
    images_ = read_labelled_images(model, {.path = root_});
    options_.preparation = Session(model).state().preparation;
    options_.kept = 4;
    options_.progress = [this](std::string_view error) { errors_ += error.empty() ? 0 : 1; };
  }

  std::shared_ptr<model::GCViT> load() const { return weights::load_model(file_).model; }

  weights::TemporaryFolder folder_;
  std::string file_ = folder_ / "m.safetensors";
  std::string root_ = folder_ / "data";
  data::ImageSet images_;
  RoundingStudy::Options options_;
  int errors_ = 0;
};

TEST_F(RoundingStudyTest, AModelAgreesWithItself) {
  RoundingStudy study(load(), load(), 2, 0);
  study.run(images_, options_);
  EXPECT_EQ(study.images(), 10);
  EXPECT_EQ(study.agreed(), 10);
  EXPECT_EQ(study.error(), 0.0);
  EXPECT_EQ(errors_, 1);
}

TEST_F(RoundingStudyTest, AllLayersTogetherErrMoreThanMost) {
  const std::shared_ptr<model::GCViT> exact = load();
  const std::shared_ptr<model::GCViT> rounded = load();
  ASSERT_GT(weights::quantise(*rounded), 0u);
  const std::vector<RoundedLayer> layers = rounded_layers(*exact, *rounded);
  ASSERT_EQ(layers.size(), 4u * 8 + 8 + 5);
  std::vector<double> errors;
  for (const int batch : {1, 8}) {
    options_.batch = batch;
    RoundingStudy study(exact, rounded, batch, 0);
    study.run(images_, options_);
    errors.push_back(study.error());
    double squares = 0.0;
    for (const RoundedLayer& layer : layers) {
      EXPECT_EQ(layer.dtype, DType::kI8);
      EXPECT_GT(layer.error, 0.001) << layer.weight;
      EXPECT_LT(layer.error, 0.02) << layer.weight;
      const double alone = study.error_of_layer(layer.weight);
      EXPECT_GT(alone, 0.0) << layer.weight;
      EXPECT_LT(alone, 0.05) << layer.weight;
      squares += alone * alone;
      if (&layer == &layers.front()) errors.push_back(alone);
    }
    // As independent errors add up, or about that.
    EXPECT_LT(study.error(), 3.0 * std::sqrt(squares));
    EXPECT_GT(study.error(), std::sqrt(squares) / 3.0);
  }
  EXPECT_EQ(errors[0], errors[2]);
  EXPECT_EQ(errors[1], errors[3]);
}

}  // namespace
}  // namespace gcvit::evaluate
