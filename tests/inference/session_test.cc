// SPDX-License-Identifier: Apache-2.0
#include "gcvit/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "inference/session_state.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

using weights::error_of;
using weights::TemporaryFolder;

struct SessionTest : ::testing::Test {
  TemporaryFolder folder;
  std::string file = folder / "m.safetensors";
  SessionTest() { testing::write_tiny_model(file, testing::colour_names()); }

  static std::vector<float> tensors(int images) {
    return testing::random_values(std::int64_t{images} * 64 * 64 * 3, 3);
  }
};

TEST_F(SessionTest, LogitsDontDependOnTheBatch) {
  Session session(Model::open(file, {.threads = 2}));
  const std::vector<float> all = session.logits(tensors(5), {.batch = 2});
  ASSERT_EQ(all.size(), 35u);
  EXPECT_EQ(session.logits(tensors(5), {.batch = 5}), all);
  const std::vector<float> one = session.logits(tensors(1));
  EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin()));
  std::vector<float> out(35);
  session.logits(tensors(5), out);
  EXPECT_EQ(out, all);
  EXPECT_EQ(error_of([&] { session.logits(tensors(5), std::span(out).first(34)); }),
            "[session] logits: expected room for 35 floats, found 34");
  EXPECT_NE(error_of([&] { session.logits(tensors(1), {.batch = 0}); }).find("expected 1 to 1024 images"),
            std::string::npos);
  EXPECT_NE(error_of([&] { session.logits(std::span<const float>()); }).find("64x64x3"), std::string::npos);
}

TEST_F(SessionTest, ProbabilitiesSumToOne) {
  Session session(Model::open(file));
  const std::vector<float> probabilities = session.probabilities(tensors(2));
  ASSERT_EQ(probabilities.size(), 14u);
  for (const std::size_t first : {0u, 7u}) {
    float sum = 0;
    for (std::size_t i = first; i < first + 7; ++i) sum += probabilities[i];
    EXPECT_NEAR(sum, 1.0f, 1e-6f);
  }
}

TEST_F(SessionTest, FeaturesAreWhatIsTapped) {
  Session session(Model::open(file));
  std::map<std::string, std::vector<float>> tapped;
  std::map<std::string, ValueShape> shapes;
  RunOptions options{.batch = 2};
  options.tap = [&](std::string_view name, const ValueShape& shape, std::span<const float> values) {
    auto& to = tapped[std::string(name)];
    to.insert(to.end(), values.begin(), values.end());
    shapes[std::string(name)] = shape;
  };
  const std::vector<float> logits = session.logits(tensors(3), options);
  EXPECT_EQ(tapped.at("logits"), logits);
  for (const Feature feature :
       {Feature::kLevel1, Feature::kLevel2, Feature::kLevel3, Feature::kLevel4, Feature::kFeatures, Feature::kPooled}) {
    const std::string name(name_of(feature));
    EXPECT_EQ(session.shape_of(feature), shapes.at(name)) << name;
    EXPECT_EQ(session.features(tensors(3), feature), tapped.at(name)) << name;
    EXPECT_EQ(tapped.at(name).size(), 3 * shapes.at(name).size());
  }
  EXPECT_EQ(session.shape_of(Feature::kLevel1), (ValueShape{16, 16, 8}));
  EXPECT_EQ(session.shape_of(Feature::kPooled), (ValueShape{1, 1, 64}));
}

TEST_F(SessionTest, ARunCanBeCancelledAndTheSessionUsedAgain) {
  Session session(Model::open(file));
  const std::vector<float> expected = session.logits(tensors(4));
  std::stop_source stop;
  RunOptions options{.batch = 1, .stop = stop.get_token()};
  std::vector<std::size_t> done;
  options.progress = [&](std::size_t images, std::size_t all) {
    done.push_back(images);
    EXPECT_EQ(all, 4u);
    if (images == 2) stop.request_stop();
  };
  try {
    session.logits(tensors(4), options);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_EQ(done, (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(session.logits(tensors(4)), expected);
}

TEST_F(SessionTest, PreprocessesAsAsked) {
  const Model model = Model::open(file);
  const std::vector<std::uint8_t> pixels = testing::blob_pixels(80, 100, 1);
  const Image image = Image::pixels(pixels, 80, 100);
  Session automatic(model);
  Session timm(model, {.images = {.preprocess = Preset::kTimm}});
  Session keras(model, {.images = {.preprocess = Preset::kKeras}});
  EXPECT_EQ(automatic.preprocess(image), timm.preprocess(image));
  EXPECT_NE(keras.preprocess(image), timm.preprocess(image));
  EXPECT_EQ(automatic.preprocess(image).size(), automatic.tensor_size());
  Session small(model, {.images = {.max_pixels = 100}});
  const std::string png = testing::png_of(pixels, 80, 100);
  try {
    small.preprocess(Image::encoded(std::as_bytes(std::span(png)), "large.png"));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfBudget);
  }
  EXPECT_NE(error_of([&] { Session(model, {.threads = -2}); }).find("found -2"), std::string::npos);
}

TEST_F(SessionTest, EngineRefusesWhatIsNoWholeImage) {
  Session session(Model::open(file));
  inference::Engine& engine = session.state().engine;
  std::vector<float> input(64 * 64 * 3, 0.5f);
  EXPECT_EQ(engine.run(input).size(), 7u);
  EXPECT_NE(error_of([&] { engine.run(std::span(input).subspan(1)); }).find("64x64x3"), std::string::npos);
  EXPECT_NE(error_of([&] { engine.run({}); }).find("found 0 floats"), std::string::npos);
}

}  // namespace
}  // namespace gcvit
