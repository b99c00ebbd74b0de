// SPDX-License-Identifier: Apache-2.0
#include "gcvit/explain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "explain/attention.h"
#include "explain/heat_map.h"
#include "explain/occlusion.h"
#include "explain/score.h"
#include "inference/executors.h"
#include "inference/model_state.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

using weights::error_of;
using weights::TemporaryFolder;

ErrorCode code_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code();
  }
  throw std::logic_error("no error");
}

struct ExplainerTest : ::testing::Test {
  TemporaryFolder folder;
  std::string file = folder / "m.safetensors";
  std::vector<float> tensor = testing::random_values(std::int64_t{64} * 64 * 3, 3);

  ExplainerTest() { testing::write_tiny_model(file, testing::colour_names()); }

  /// The same model with a final norm and a head of these values everywhere.
  std::string with_end(float norm_scale, float norm_shift, float head) const {
    weights::LoadedModel loaded = weights::load_model(file);
    const auto fill = [](ops::Parameter& parameter, float value) {
      parameter.tensor = Tensor(DType::kF32, parameter.dims);
      std::ranges::fill(parameter.tensor.mutable_values(), value);
    };
    const auto parameters = loaded.model->parameters();
    // The last four: the norm's scale and shift, the head's weight and bias.
    const std::size_t end = parameters.size() - 4;
    fill(*parameters[end], norm_scale);
    fill(*parameters[end + 1], norm_shift);
    fill(*parameters[end + 2], head);
    std::string path = folder / "end.safetensors";
    weights::save_model(path, *loaded.model, loaded.info);
    return path;
  }
};

TEST_F(ExplainerTest, ExplainsTheMostProbableClassUnlessToldAnother) {
  Explainer explainer(Model::open(file, {.threads = 2}));
  const std::vector<float> logits = explainer.session().logits(tensor);
  const auto best = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  for (const std::int32_t level : {0, 1, 4}) {
    const Explanation found = explainer.grad_cam(tensor, {.level = level});
    EXPECT_EQ(found.method, ExplainMethod::kGradCam);
    EXPECT_EQ(found.index, best);
    EXPECT_EQ(found.label, testing::colour_names().at(static_cast<std::size_t>(best)));
    EXPECT_EQ(found.level, level);
    EXPECT_NEAR(found.score, logits.at(static_cast<std::size_t>(best)), 1e-5);
    EXPECT_GE(found.lowest, 0.0f);
  }
  const Explanation other =
      explainer.grad_cam(tensor, {.target = explainer.class_named("blue"), .score = ExplainedScore::kProbability});
  EXPECT_EQ(other.index, 4);
  EXPECT_EQ(other.label, "blue");
  EXPECT_NEAR(other.score, explainer.session().probabilities(tensor).at(4), 1e-6);
  EXPECT_NE(other.map.values, explainer.grad_cam(tensor, {.target = 3}).map.values);
}

TEST_F(ExplainerTest, MapsHaveTheLevelsSizes) {
  Explainer explainer(Model::open(file));
  const std::vector<std::pair<std::int32_t, std::int32_t>> sizes = {{0, 2}, {1, 16}, {2, 8}, {3, 4}, {4, 2}};
  for (const auto& [level, side] : sizes) {
    const HeatMap map = explainer.grad_cam(tensor, {.level = level}).map;
    EXPECT_EQ(map.height, side);
    EXPECT_EQ(map.width, side);
    if (level == 0) continue;
    EXPECT_EQ(explainer.attention(tensor, {.level = level}).map.height, side);
  }
}

TEST_F(ExplainerTest, TheSameBitsOnAnyNumberOfThreadsAndAgain) {
  Explainer one(Model::open(file, {.threads = 1}));
  Explainer three(Model::open(file, {.threads = 3}));
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (std::int32_t level = 0; level <= 4; ++level) {
      EXPECT_EQ(one.grad_cam(tensor, {.level = level}).map.values, three.grad_cam(tensor, {.level = level}).map.values);
      if (level == 0) continue;
      EXPECT_EQ(one.attention(tensor, {.level = level}).map.values,
                three.attention(tensor, {.level = level}).map.values);
    }
  }
}

TEST_F(ExplainerTest, ExplainersOfOneModelRunBesideEachOther) {
  const Model model = Model::open(file, {.threads = 2});
  const std::vector<float> expected = Explainer(model).grad_cam(tensor, {.level = 2}).map.values;
  std::vector<std::thread> threads;
  std::vector<int> wrong(3);
  for (int& count : wrong) {
    threads.emplace_back([&] {
      Explainer explainer(model);
      for (int i = 0; i < 10; ++i) count += explainer.grad_cam(tensor, {.level = 2}).map.values != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(3));
}

TEST_F(ExplainerTest, WhatGradientsNeededIsGivenBack) {
  const Model model = Model::open(file);
  const std::size_t before = model.weight_bytes();
  Explainer explainer(model);
  const std::vector<float> expected = explainer.grad_cam(tensor, {.level = 1}).map.values;
  EXPECT_EQ(model.weight_bytes(), before);
  EXPECT_EQ(explainer.grad_cam(tensor, {.level = 1, .keep_gradient_weights = true}).map.values, expected);
  const std::size_t kept = model.weight_bytes();
  EXPECT_GT(kept, before);
  EXPECT_EQ(explainer.grad_cam(tensor, {.level = 1, .keep_gradient_weights = true}).map.values, expected);
  EXPECT_EQ(model.weight_bytes(), kept);
  explainer.grad_cam(tensor, {.level = 2});
  EXPECT_EQ(model.weight_bytes(), before);
}

TEST_F(ExplainerTest, NarrowerWeightsPointAtTheSamePlaces) {
  Explainer exact(Model::open(file));
  for (const Precision precision : {Precision::kBf16, Precision::kInt8}) {
    Explainer rounded(Model::open(file, {.precision = precision}));
    for (std::int32_t level = 0; level <= 4; ++level) {
      const Explanation expected = exact.grad_cam(tensor, {.level = level});
      const Explanation found = rounded.grad_cam(tensor, {.target = expected.index, .level = level});
      EXPECT_LT(testing::relative_error(found.map.values, expected.map.values), 0.15) << level;
      EXPECT_NE(found.map.values, expected.map.values) << level;
    }
  }
}

TEST_F(ExplainerTest, MapsThatPointAtNothingSaySo) {
  // A map of ones behind the norm: no position differs from another.
  const Explanation constant = Explainer(Model::open(with_end(0.0f, 1.0f, 1.0f))).grad_cam(tensor, {.target = 2});
  EXPECT_TRUE(constant.empty);
  EXPECT_GT(constant.lowest, 0.0f);
  EXPECT_EQ(constant.lowest, constant.highest);
  // All evidence speaks against the class: ReLU leaves nothing.
  const Explanation negative = Explainer(Model::open(with_end(0.0f, 1.0f, -1.0f))).grad_cam(tensor, {.target = 2});
  EXPECT_TRUE(negative.empty);
  EXPECT_EQ(negative.highest, 0.0f);
  // The class's logit depends on nothing.
  Explainer nothing(Model::open(with_end(1.0f, 0.0f, 0.0f)));
  for (std::int32_t level = 0; level <= 4; ++level) {
    const Explanation zeros = nothing.grad_cam(tensor, {.target = 2, .level = level});
    EXPECT_TRUE(zeros.empty) << level;
    EXPECT_EQ(zeros.highest, 0.0f) << level;
    EXPECT_EQ(zeros.map.values, std::vector<float>(zeros.map.values.size())) << level;
  }
  EXPECT_FALSE(Explainer(Model::open(file)).grad_cam(tensor, {.level = 1}).empty);
}

TEST_F(ExplainerTest, SetRangeRefusesWhatIsNoMap) {
  Explanation explanation;
  explanation.map = {2, 2, {1.0f, 2.0f, 3.0f}};
  EXPECT_EQ(error_of([&] { explain::set_range(explanation); }), "[explain] map: expected 2x2 values, found 3");
  explanation.map = {1, 2, {1.0f, HUGE_VALF}};
  EXPECT_EQ(error_of([&] { explain::set_range(explanation); }),
            "[explain] map: expected finite values, found inf in row 0, column 1");
}

TEST_F(ExplainerTest, GradientOfAProbabilityIsItsDifferenceQuotient) {
  weights::LoadedModel loaded = weights::load_model(file);
  loaded.info.temperature = 1.7;
  weights::save_model(file, *loaded.model, loaded.info);
  const Model model = Model::open(file);
  const std::vector<float> logits = {0.5f, -1.0f, 2.0f, 0.1f, 0.0f, 1.0f, -0.3f};
  constexpr auto kProbability = ExplainedScore::kProbability;
  const std::vector<float> gradient = explain::score_gradient(model, kProbability, 5, logits);
  for (std::size_t j = 0; j < logits.size(); ++j) {
    std::vector<float> up = logits;
    std::vector<float> down = logits;
    constexpr float kStep = 1.0f / 64;
    up[j] += kStep;
    down[j] -= kStep;
    const float quotient =
        (explain::score_of(model, kProbability, 5, up) - explain::score_of(model, kProbability, 5, down)) / (2 * kStep);
    EXPECT_NEAR(gradient[j], quotient, 1e-4) << j;
  }
}

/// Of every block of a model: its rows add up to one, and are those of windows that cover the padded map.
void expect_rows_of_one(const Model& model, std::span<const float> tensor) {
  const std::unique_ptr<ops::TrainingExecutor> executor =
      inference::make_differentiating_executor(model, *model.state().pool);
  const model::GCViTConfig& config = model.state().config();
  for (std::int32_t level = 1; level <= 4; ++level) {
    const auto l = static_cast<std::size_t>(level - 1);
    for (std::int32_t block = 0; block < config.depths[l]; ++block) {
      std::mutex mutex;
      std::int64_t rows = 0;
      std::set<std::int32_t> windows_seen;
      explain::attention_rows(model, *executor, *model.state().pool, tensor, level, block, {},
                              [&](const explain::BlockWindows& windows, std::int32_t window, std::int32_t, std::int32_t,
                                  std::span<const float> keys) {
                                const std::scoped_lock lock(mutex);
                                ++rows;
                                windows_seen.insert(window);
                                EXPECT_EQ(windows.window, config.windows[l]);
                                EXPECT_EQ(static_cast<std::int32_t>(keys.size()), windows.window.tokens());
                                EXPECT_NEAR(std::accumulate(keys.begin(), keys.end(), 0.0), 1.0, 1e-5);
                                EXPECT_GE(*std::ranges::min_element(keys), 0.0f);
                              });
      const ops::Window map = config.map(level - 1);
      const ops::Window window = config.windows[l];
      const std::int32_t down = (map.height + window.height - 1) / window.height;
      const std::int32_t across = (map.width + window.width - 1) / window.width;
      EXPECT_EQ(static_cast<std::int32_t>(windows_seen.size()), down * across);
      EXPECT_EQ(rows, std::int64_t{down} * across * config.heads[l] * window.tokens());
    }
  }
}

TEST_F(ExplainerTest, AttentionsRowsAddUpToOne) {
  expect_rows_of_one(Model::open(file, {.threads = 2}), tensor);
  const Model padded =
      Model::open(file, {.threads = 2, .image_height = 96, .image_width = 160, .window_mode = WindowMode::kFixed});
  expect_rows_of_one(padded, testing::random_values(std::int64_t{96} * 160 * 3, 4));
  expect_rows_of_one(Model::open(file, {.precision = Precision::kInt8, .threads = 2}), tensor);
}

/// The sum of a map's values in one window.
double sum_of_window(const HeatMap& map, std::int32_t row, std::int32_t column, std::int32_t side) {
  double sum = 0.0;
  for (std::int32_t y = row * side; y < std::min((row + 1) * side, map.height); ++y) {
    for (std::int32_t x = column * side; x < std::min((column + 1) * side, map.width); ++x) {
      sum += map.values[static_cast<std::size_t>(y * map.width + x)];
    }
  }
  return sum;
}

TEST_F(ExplainerTest, AttentionOfAWindowAddsUpToOne) {
  Explainer explainer(Model::open(file));
  for (const std::int32_t block : {0, 1}) {
    for (const std::optional<std::int32_t> head : {std::optional<std::int32_t>(), std::optional<std::int32_t>(1)}) {
      const HeatMap map = explainer.attention(tensor, {.level = 2, .block = block, .head = head}).map;
      for (const std::int32_t row : {0, 1}) {
        for (const std::int32_t column : {0, 1}) EXPECT_NEAR(sum_of_window(map, row, column, 4), 1.0, 1e-5);
      }
    }
  }
  // Without a block it is the last global one.
  EXPECT_EQ(explainer.attention(tensor, {.level = 2}).map.values,
            explainer.attention(tensor, {.level = 2, .block = 1}).map.values);
}

TEST_F(ExplainerTest, MeansOfHeadsAndQueriesAreMeans) {
  Explainer explainer(Model::open(file));
  const auto map = [&](const AttentionOptions& options) { return explainer.attention(tensor, options).map.values; };
  const std::vector<float> all = map({.level = 2, .block = 1});
  std::vector<double> heads(all.size());
  std::vector<double> queries(all.size());
  for (const std::int32_t head : {0, 1}) {
    const std::vector<float> one = map({.level = 2, .block = 1, .head = head});
    for (std::size_t i = 0; i < one.size(); ++i) heads[i] += one[i] / 2.0;
  }
  for (std::int32_t query = 0; query < 16; ++query) {
    const std::vector<float> one = map({.level = 2, .block = 1, .query = MapCell{query / 4, query % 4}});
    for (std::size_t i = 0; i < one.size(); ++i) queries[i] += one[i] / 16.0;
  }
  EXPECT_LT(testing::relative_error(all, heads), 1e-6);
  EXPECT_LT(testing::relative_error(all, queries), 1e-6);
}

TEST_F(ExplainerTest, ALocalQueryLooksAtItsOwnWindow) {
  Explainer explainer(Model::open(file));
  const HeatMap map = explainer.attention(tensor, {.level = 2, .block = 0, .query = MapCell{1, 6}}).map;
  EXPECT_NEAR(sum_of_window(map, 0, 1, 4), 1.0, 1e-5);
  EXPECT_EQ(sum_of_window(map, 0, 0, 4) + sum_of_window(map, 1, 0, 4) + sum_of_window(map, 1, 1, 4), 0.0);
}

TEST_F(ExplainerTest, PaddingTakesItsShareOfAttention) {
  Explainer explainer(Model::open(file, {.image_height = 96, .image_width = 160, .window_mode = WindowMode::kFixed}));
  const std::vector<float> wide = testing::random_values(std::int64_t{96} * 160 * 3, 4);
  const HeatMap map = explainer.attention(wide, {.level = 3, .block = 1}).map;  // 6x10 in windows of 4x4
  EXPECT_EQ(map.height, 6);
  EXPECT_EQ(map.width, 10);
  EXPECT_NEAR(sum_of_window(map, 0, 0, 4), 1.0, 1e-5);
  const double corner = sum_of_window(map, 1, 2, 4);
  EXPECT_GT(corner, 0.0);
  EXPECT_LT(corner, 0.99);
  EXPECT_FALSE(explainer.grad_cam(wide, {.level = 2}).map.values.empty());
}

TEST(Occlusion, PatchesCoverASide) {
  EXPECT_EQ(explain::patch_starts(10, 4, 2), (std::vector<std::int32_t>{0, 2, 4, 6}));
  EXPECT_EQ(explain::patch_starts(10, 4, 3), (std::vector<std::int32_t>{0, 3, 6}));
  EXPECT_EQ(explain::patch_starts(11, 4, 4), (std::vector<std::int32_t>{0, 4, 7}));
  EXPECT_EQ(explain::patch_starts(4, 4, 1), (std::vector<std::int32_t>{0}));
}

TEST_F(ExplainerTest, OcclusionIsTheMeanDropOverThePatchesOfAPixel) {
  Explainer explainer(Model::open(file));
  const Explanation found =
      explainer.occlusion(tensor, {.target = 3, .score = ExplainedScore::kLogit, .patch = 24, .stride = 20});
  EXPECT_EQ(found.map.height, 16);  // cells of 4 pixels
  ASSERT_EQ(found.map.values.size(), 256u);
  const float score = explainer.session().logits(tensor).at(3);
  EXPECT_EQ(found.score, score);
  const auto drop = [&](std::int32_t top, std::int32_t left) {
    std::vector<float> painted = tensor;
    for (std::int32_t y = top; y < top + 24; ++y) {
      for (std::int32_t x = left; x < left + 24; ++x) {
        for (std::int32_t c = 0; c < 3; ++c) painted[static_cast<std::size_t>((y * 64 + x) * 3 + c)] = 0.0f;
      }
    }
    return score - explainer.session().logits(painted).at(3);
  };
  EXPECT_NEAR(found.map.values[0], drop(0, 0), 1e-5);  // under one patch
  EXPECT_NEAR(found.map.values[5], (drop(0, 0) + drop(0, 20)) / 2, 1e-5);  // pixels 20 to 23: under two
  EXPECT_NEAR(found.map.values[5 * 16 + 10], (drop(0, 20) + drop(0, 40) + drop(20, 20) + drop(20, 40)) / 4, 1e-5);
  EXPECT_NEAR(found.map.values[255], drop(40, 40), 1e-5);
}

TEST_F(ExplainerTest, OcclusionReportsAndDoesntDependOnTheBatch) {
  Explainer explainer(Model::open(file));
  std::vector<std::size_t> done;
  std::size_t patches = 0;
  OcclusionOptions options{.batch = 10};
  options.progress = [&](std::size_t so_far, std::size_t all) {
    done.push_back(so_far);
    patches = all;
  };
  const Explanation found = explainer.occlusion(tensor, options);
  EXPECT_EQ(found.of, ExplainedScore::kProbability);
  EXPECT_EQ(patches, 225u);  // patches of 9 pixels, every 4
  EXPECT_EQ(done.size(), 23u);
  EXPECT_EQ(done.back(), patches);
  EXPECT_EQ(explainer.occlusion(tensor, {.batch = 3}).map.values, found.map.values);
  EXPECT_EQ(explainer.occlusion(tensor, {.patch = 64}).map.values.size(), 1u);
}

TEST_F(ExplainerTest, RefusesWhatIsOutOfRange) {
  Explainer explainer(Model::open(file));
  const auto cam = [&](const GradCamOptions& options) {
    return error_of([&] { explainer.grad_cam(tensor, options); });
  };
  const auto attention = [&](const AttentionOptions& options) {
    return error_of([&] { explainer.attention(tensor, options); });
  };
  const auto occlusion = [&](const OcclusionOptions& options) {
    return error_of([&] { explainer.occlusion(tensor, options); });
  };
  EXPECT_EQ(cam({.target = 7}), "[explain] " + file + ": class: expected 0 to 6, found 7");
  EXPECT_EQ(cam({.target = -1, .level = 2}), "[explain] " + file + ": class: expected 0 to 6, found -1");
  EXPECT_EQ(cam({.level = 5}), "[explain] " + file + ": level: expected 1 to 4, found 5");
  EXPECT_EQ(cam({.level = -1}), "[explain] " + file + ": level: expected 1 to 4, found -1");
  EXPECT_EQ(attention({.level = 0}), "[explain] " + file + ": level: expected 1 to 4, found 0");
  EXPECT_EQ(attention({.level = 2, .block = 2}), "[explain] " + file + ": block: expected 0 to 1 in level 2, found 2");
  EXPECT_EQ(attention({.level = 1, .head = 1}), "[explain] " + file + ": head: expected 0 to 0 in level 1, found 1");
  EXPECT_EQ(
      attention({.level = 2, .block = 1, .query = MapCell{0, 4}}),
      "[explain] " + file + ": query: expected a row of 0 to 3 and a column of 0 to 3 in the global query, found 0, 4");
  EXPECT_EQ(
      attention({.level = 2, .block = 0, .query = MapCell{8, 0}}),
      "[explain] " + file + ": query: expected a row of 0 to 7 and a column of 0 to 7 in the level's map, found 8, 0");
  EXPECT_EQ(occlusion({.target = 9}), "[explain] " + file + ": class: expected 0 to 6, found 9");
  EXPECT_EQ(occlusion({.patch = 65}), "[explain] " + file + ": patch: expected 1 to 64 pixels, found 65");
  EXPECT_EQ(occlusion({.patch = 8, .stride = 9}),
            "[explain] " + file + ": stride: expected 1 to 8 pixels, the patch's side, found 9");
  EXPECT_EQ(occlusion({.batch = 0}), "[explain] batch: expected 1 to 1024 inputs, found 0");
  EXPECT_EQ(error_of([&] { explainer.grad_cam(std::span(tensor).first(5)); }),
            "[explain] tensor: expected one input of 64x64x3 = 12288 floats, found 5");
  EXPECT_EQ(error_of([&] { static_cast<void>(explainer.class_named("mauve")); }),
            "[explain] " + file + ": class: expected one of its 7 names, found \"mauve\"");
  EXPECT_EQ(code_of([&] { explainer.grad_cam(tensor, {.target = 7}); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { static_cast<void>(explainer.class_named("mauve")); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { explainer.grad_cam(tensor, {.level = 5}); }), ErrorCode::kInvalidArgument);
}

TEST_F(ExplainerTest, StopsWhenAsked) {
  Explainer explainer(Model::open(file));
  std::stop_source source;
  source.request_stop();
  const std::stop_token stop = source.get_token();
  EXPECT_EQ(code_of([&] { explainer.grad_cam(tensor, {.stop = stop}); }), ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { explainer.grad_cam(tensor, {.level = 2, .stop = stop}); }), ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { explainer.attention(tensor, {.stop = stop}); }), ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { explainer.occlusion(tensor, {.stop = stop}); }), ErrorCode::kCancelled);
  // Between two batches.
  std::stop_source later;
  OcclusionOptions options{.stop = later.get_token()};
  options.progress = [&](std::size_t, std::size_t) { later.request_stop(); };
  EXPECT_EQ(code_of([&] { explainer.occlusion(tensor, options); }), ErrorCode::kCancelled);
  // And goes on as if nothing had been.
  EXPECT_EQ(explainer.grad_cam(tensor, {.level = 2}).map.values,
            Explainer(Model::open(file)).grad_cam(tensor, {.level = 2}).map.values);
}

TEST_F(ExplainerTest, ALogitThatIsNotFiniteIsAnError) {
  Explainer explainer(Model::open(with_end(1.0f, 0.0f, 3e38f)));
  for (const std::int32_t level : {0, 2}) {
    EXPECT_NE(error_of([&] { explainer.grad_cam(tensor, {.level = level}); }).find("the weights overflow float32"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace gcvit
