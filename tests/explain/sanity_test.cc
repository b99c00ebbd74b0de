// SPDX-License-Identifier: Apache-2.0
// Sanity checks for saliency maps (Adebayo et al., NeurIPS 2018) on the bundled model and its photos: a map that shows what a model has
// learned changes when the model forgets it, level by level, and with the class that it is asked about.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "gcvit/explain.h"
#include "model/initialise.h"
#include "model/tensor_table.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"

namespace gcvit {
namespace {

using Maps = std::vector<std::vector<float>>;

std::string bundled_model() { return std::string(GCVIT_SOURCE_DIR) + "/models/gcvit_flowers.safetensors"; }

std::vector<std::string> photos() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(GCVIT_SOURCE_DIR) + "/examples/photos")) {
    if (entry.path().extension() == ".jpg") files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  return files;
}

/// Ranks from 0; equal values share the mean of theirs.
std::vector<double> ranks(const std::vector<float>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> result(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (std::size_t i = first; i < end; ++i) result[order[i]] = static_cast<double>(first + end - 1) / 2.0;
    first = end;
  }
  return result;
}

/// Spearman's; 0 where one of the maps is constant.
double rank_correlation(const std::vector<float>& a, const std::vector<float>& b) {
  const std::vector<double> x = ranks(a);
  const std::vector<double> y = ranks(b);
  const double mean = static_cast<double>(x.size() - 1) / 2.0;
  double xy = 0.0;
  double xx = 0.0;
  double yy = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xx == 0.0 || yy == 0.0 ? 0.0 : xy / std::sqrt(xx * yy);
}

double mean_rank_correlation(const Maps& a, const Maps& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += rank_correlation(a[i], b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(RankCorrelation, IsSpearmans) {
  EXPECT_DOUBLE_EQ(rank_correlation({1, 2, 3, 4}, {10, 20, 30, 1000}), 1.0);
  EXPECT_DOUBLE_EQ(rank_correlation({1, 2, 3, 4}, {4, 3, 2, 1}), -1.0);
  EXPECT_NEAR(rank_correlation({1, 2, 3, 4, 5}, {5, 6, 7, 8, 7}), 0.8207826816681233, 1e-12);
  EXPECT_EQ(rank_correlation({1, 2}, {3, 3}), 0.0);
}

/// Each photo's map of class `classes[photo]`.
Maps maps_of(const Model& model, const std::vector<std::int32_t>& classes, std::int32_t level) {
  Explainer explainer(model);
  Maps maps;
  const std::vector<std::string> files = photos();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::vector<float> tensor = explainer.session().preprocess(Image::file(files[i]));
    maps.push_back(explainer.grad_cam(tensor, {.target = classes[i], .level = level}).map.values);
  }
  return maps;
}

std::vector<std::int32_t> answers(const Model& model) {
  Session session(model);
  std::vector<std::int32_t> classes;
  for (const std::string& file : photos()) {
    const std::vector<float> logits = session.logits(session.preprocess(Image::file(file)));
    classes.push_back(model.predictions(logits, 1).at(0).index);
  }
  return classes;
}

TEST(ExplainSanity, MapsForgetWithTheModel) {
  const Model trained = Model::open(bundled_model(), {.threads = 2});
  const std::vector<std::int32_t> classes = answers(trained);
  weights::LoadedModel loaded = weights::load_model(bundled_model());
  const weights::TemporaryFolder folder;
  const std::string file = folder / "forgetting.safetensors";
  const Maps norm = maps_of(trained, classes, 0);
  const Maps level3 = maps_of(trained, classes, 3);
  std::vector<double> at_norm;
  std::vector<double> at_level3;
  // From the answer back to the photo: the head, the last level with the norm, and so on to the first with the stem.
  for (int step = model::kLevels; step >= 0; --step) {
    for (ops::Parameter* parameter : loaded.model->parameters()) {
      const model::TensorPlace place = *model::find_tensor(parameter->name);
      int level = place.level;
      if (place.row->part == model::Part::kNorm) level = model::kLevels - 1;
      if (place.row->part == model::Part::kHead) level = model::kLevels;
      if (level == step) model::initialise(*parameter, 7);
    }
    weights::save_model(file, *loaded.model, loaded.info);
    const Model forgetful = Model::open(file, {.threads = 2});
    at_norm.push_back(mean_rank_correlation(norm, maps_of(forgetful, classes, 0)));
    at_level3.push_back(mean_rank_correlation(level3, maps_of(forgetful, classes, 3)));
  }
  std::filesystem::remove(file);
  for (std::size_t step = 0; step < at_norm.size(); ++step) {
    EXPECT_LT(at_norm[step], 0.5) << step;
    EXPECT_LT(at_level3[step], 0.5) << step;
  }
  // Nothing is left of what a new head alone leaves.
  EXPECT_LT(at_norm.back(), at_norm.front() - 0.1);
  EXPECT_LT(std::abs(at_norm.back()), 0.35);
  EXPECT_LT(std::abs(at_level3.back()), 0.35);
}

TEST(ExplainSanity, MapsStayWhereTheModelDoes) {
  const Model trained = Model::open(bundled_model(), {.threads = 2});
  const Model rounded = Model::open(bundled_model(), {.precision = Precision::kBf16, .threads = 2});
  const std::vector<std::int32_t> classes = answers(trained);
  for (const std::int32_t level : {0, 3}) {
    const Maps maps = maps_of(trained, classes, level);
    EXPECT_DOUBLE_EQ(mean_rank_correlation(maps, maps_of(trained, classes, level)), 1.0);
    EXPECT_GT(mean_rank_correlation(maps, maps_of(rounded, classes, level)), 0.95);
  }
}

TEST(ExplainSanity, MapsDependOnTheClass) {
  const Model model = Model::open(bundled_model(), {.threads = 2});
  std::vector<std::int32_t> classes = answers(model);
  for (const std::int32_t level : {0, 3}) {
    const Maps best = maps_of(model, classes, level);
    double sum = 0.0;
    for (std::int32_t other = 1; other < model.classes(); ++other) {
      std::vector<std::int32_t> others = classes;
      for (std::int32_t& one : others) one = (one + other) % model.classes();
      sum += mean_rank_correlation(best, maps_of(model, others, level));
    }
    EXPECT_LT(sum / (model.classes() - 1), 0.3) << level;
  }
}

}  // namespace
}  // namespace gcvit
