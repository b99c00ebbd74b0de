// SPDX-License-Identifier: Apache-2.0
// Against what PyTorch computed with the same weights and image (tests/data/explain, written by
// tools/parity/make_explain_references.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "explain/attention.h"
#include "explain/grad_cam.h"
#include "formats/raw_file.h"
#include "gcvit/explain.h"
#include "inference/executors.h"
#include "inference/model_state.h"
#include "tests/native/test_model.h"
#include "tests/weights/test_files.h"
#include "weights/convert.h"

namespace gcvit {
namespace {

using testing::relative_error;
using Tensors = std::map<std::string, Tensor>;

std::string data(const std::string& name) { return std::string(GCVIT_TEST_DATA) + "/" + name; }

Tensors read(const std::string& file) {
  Tensors tensors;
  for (const formats::NamedTensor& entry : formats::read_raw_file(file).tensors) {
    tensors.emplace(entry.name, entry.tensor.to_f32());
  }
  return tensors;
}

struct Case {
  std::string name;
  bool as_keras_file = false;  ///< the weights as Keras 3 stores them
};

void PrintTo(const Case& value, std::ostream* stream) { *stream << value.name; }

class ExplainReferenceTest : public ::testing::TestWithParam<Case> {
 protected:
  weights::TemporaryFolder folder;
  Tensors expected = read(data("explain/" + GetParam().name + ".explain.safetensors"));
  Model model = Model::open(weight_file(), {.threads = 2});
  std::int32_t target = static_cast<std::int32_t>(expected.at("target").values()[0]);
  std::vector<float> image;

  ExplainReferenceTest() {
    const Tensors reference = read(data("parity/" + GetParam().name + ".reference.safetensors"));
    const std::span<const float> images = reference.at("images").values();
    image.assign(images.begin(), images.begin() + static_cast<std::ptrdiff_t>(images.size() / 3));
  }

  std::string weight_file() {
    const std::string file = data("parity/" + GetParam().name + ".safetensors");
    if (!GetParam().as_keras_file) return file;
    std::string keras = folder / "model.weights.h5";
    weights::convert(weights::load_model(file), keras,
                     {.layout = {}, .dtype = {}, .keras_flavour = weights::KerasFlavour::kGcvitTf});
    return keras;
  }

  void expect_map(const Explanation& found, const std::string& name) {
    const Tensor& map = expected.at(name);
    ASSERT_EQ((Dims{found.map.height, found.map.width}), map.dims()) << name;
    EXPECT_LT(relative_error(found.map.values, map.values()), 1e-4) << name;
    EXPECT_EQ(found.index, target);
    EXPECT_EQ(found.highest, *std::ranges::max_element(found.map.values)) << name;
    EXPECT_EQ(found.lowest, *std::ranges::min_element(found.map.values)) << name;
  }
};

TEST_P(ExplainReferenceTest, GradCamIsThePublishedFormulas) {
  Explainer explainer(model);
  for (const ExplainedScore score : {ExplainedScore::kLogit, ExplainedScore::kProbability}) {
    const std::string prefix = std::string(name_of(score)) + ".";
    expect_map(explainer.grad_cam(image, {.target = target, .score = score}), prefix + "features.map");
    for (std::int32_t level = 1; level <= 4; ++level) {
      expect_map(explainer.grad_cam(image, {.target = target, .score = score, .level = level}),
                 prefix + "level" + std::to_string(level) + ".map");
    }
  }
}

TEST_P(ExplainReferenceTest, GradientsOfLevelsAreTorchs) {
  const std::unique_ptr<ops::TrainingExecutor> executor =
      inference::make_differentiating_executor(model, *model.state().pool);
  for (const ExplainedScore score : {ExplainedScore::kLogit, ExplainedScore::kProbability}) {
    for (std::int32_t level = 1; level <= 4; ++level) {
      explain::LevelGradient found;
      explain::grad_cam_at_level(model, *executor, image, {.target = target, .score = score, .level = level}, &found);
      const std::string name = std::string(name_of(score)) + ".level" + std::to_string(level) + ".gradient";
      const Tensor& gradient = expected.at(name);
      ASSERT_EQ((Dims{found.shape.height, found.shape.width, found.shape.channels}), gradient.dims()) << name;
      EXPECT_LT(relative_error(found.gradient, gradient.values()), 1e-4) << name;
    }
  }
}

TEST_P(ExplainReferenceTest, AttentionIsTorchs) {
  const std::unique_ptr<ops::TrainingExecutor> executor =
      inference::make_differentiating_executor(model, *model.state().pool);
  std::size_t blocks = 0;
  for (const auto& [name, probabilities] : expected) {
    if (!name.starts_with("attention.")) continue;
    ++blocks;
    const std::int32_t level = name.at(std::string("attention.level").size()) - '0';
    const std::int32_t block = name.back() - '0';
    std::vector<float> found(static_cast<std::size_t>(probabilities.size()));
    explain::attention_rows(model, *executor, *model.state().pool, image, level, block, {},
                            [&](const explain::BlockWindows& windows, std::int32_t window, std::int32_t head,
                                std::int32_t query, std::span<const float> keys) {
                              const std::int32_t tokens = windows.window.tokens();
                              ASSERT_EQ((Dims{windows.down * windows.across, windows.heads, tokens, tokens}),
                                        probabilities.dims());
                              const std::int32_t row = (window * windows.heads + head) * tokens + query;
                              std::ranges::copy(keys, found.begin() + std::ptrdiff_t{row} * tokens);
                            });
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], probabilities.values()[i], 1e-5) << name << " " << i;
    }
  }
  EXPECT_EQ(blocks, model.state().config().depths[0] + model.state().config().depths[1] +
                        model.state().config().depths[2] + model.state().config().depths[3]);
}

INSTANTIATE_TEST_SUITE_P(Libraries, ExplainReferenceTest,
                         ::testing::Values(Case{"timm"}, Case{"rectangular"}, Case{"keras"}, Case{"keras", true}),
                         [](const auto& info) { return info.param.name + (info.param.as_keras_file ? "_file" : ""); });

}  // namespace
}  // namespace gcvit
