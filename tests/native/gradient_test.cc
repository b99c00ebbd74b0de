// SPDX-License-Identifier: Apache-2.0
// The gradient of a whole model's loss for every parameter against PyTorch's autograd (tests/data/training, written by
// tools/parity/make_gradient_references.py): local and global blocks, layer scale, dropped branches, both paddings of
// the pools, maps that are no whole windows, label smoothing, rectangular windows.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/native_backend.h"
#include "native/parameter_vector.h"
#include "tests/native/test_model.h"
#include "tests/testing/training_reference.h"

namespace gcvit::native {
namespace {

using testing::TrainingReference;

/// Sums over many positions cancel: PyTorch in float32 is up to 1e-5 away from these references, which are float64's.
constexpr double kTolerance = 1e-4;

class GradientTest : public ::testing::TestWithParam<std::string> {
 protected:
  GradientTest() : reference_(GetParam() + ".gradients") {
    const auto& metadata = reference_.metadata;
    const auto size = metadata.at("image_size").get<std::vector<std::int32_t>>();
    const std::string file = metadata.at("weights").get<std::string>() + ".safetensors";
    const weights::LoadedModel loaded = weights::load_model(
        testing::training_file(file),
        {.image_size = weights::ImageSize{size[0], size[1]}, .window_mode = model::WindowMode::kFixed, .classes = {}});
    model::GCViTConfig config = loaded.model->config();
    config.drop_path = metadata.at("drop_path").get<float>();
    config.pool_padding =
        metadata.at("pool_padding") == "zero" ? ops::PoolPadding::kZero : ops::PoolPadding::kNegativeInfinity;
    model_ = std::make_unique<model::GCViT>(config);
    for (ops::Parameter* parameter : model_->parameters()) {
      parameter->tensor = loaded.model->parameters()[static_cast<std::size_t>(parameter->id)]->tensor;
      ++parameter->version;
    }
    images_ = metadata.at("images").get<std::int32_t>();
    smoothing_ = metadata.at("smoothing").get<double>();
    for (const auto& drop : metadata.at("drops"))
      drops_.emplace(drop[0].get<std::int32_t>(), drop[1].get<std::int32_t>());
  }

  /// The mean cross-entropy of [images, classes] logits, and its gradient.
  double loss_of(std::span<const float> logits, std::vector<float>& slope) const {
    const std::int32_t classes = model_->config().classes;
    const std::vector<std::int32_t> labels = testing::reference_labels(0, images_, classes);
    slope.resize(logits.size());
    double loss = 0.0;
    for (std::size_t n = 0; n < labels.size(); ++n) {
      const auto row = logits.subspan(n * static_cast<std::size_t>(classes), static_cast<std::size_t>(classes));
      const double largest = *std::max_element(row.begin(), row.end());
      double sum = 0.0;
      for (const float logit : row) sum += std::exp(static_cast<double>(logit) - largest);
      for (std::size_t c = 0; c < row.size(); ++c) {
        const double log_probability = static_cast<double>(row[c]) - largest - std::log(sum);
        const double own = static_cast<std::int32_t>(c) == labels[n] ? 1.0 - smoothing_ : 0.0;
        const double target = own + smoothing_ / classes;
        loss -= target * log_probability / images_;
        slope[n * row.size() + c] = static_cast<float>((std::exp(log_probability) - target) / images_);
      }
    }
    return loss;
  }

  /// The gradient, all zeros where the loss doesn't depend on a parameter.
  ParameterVector gradients_on(NativeBackend& backend, bool recompute_sublayers, double loss_tolerance = 1e-5) const {
    NativeBackend::Training training;
    if (!drops_.empty()) {
      training.keeps_branch = [this](std::int32_t image, std::int32_t branch, float drop_path) {
        EXPECT_GT(drop_path, 0.0f);
        return !drops_.contains({branch, image});
      };
    }
    training.recompute_sublayers = recompute_sublayers;
    const ops::Shape shape{model_->config().image_height, model_->config().image_width, 3};
    ParameterVector gradients(std::as_const(*model_).parameters());
    backend.start_training(images_, std::move(training));
    const ops::Value logits =
        model_->forward(backend, backend.input(shape, testing::reference_images(0, images_, shape.size())));
    std::vector<float> slope;
    const double loss = loss_of(backend.read(logits), slope);
    const double expected = static_cast<double>(reference_.tensors.at("loss").values()[0]);
    EXPECT_NEAR(loss, expected, loss_tolerance * expected);
    backend.backward(logits, slope, gradients);
    return gradients;
  }

  TrainingReference reference_;
  std::unique_ptr<model::GCViT> model_;
  std::int32_t images_ = 0;
  double smoothing_ = 0.0;
  std::set<std::pair<std::int32_t, std::int32_t>> drops_;  ///< (branch, image)
};

TEST_P(GradientTest, EveryParametersIsPyTorchs) {
  ThreadPool pool(2);
  NativeBackend backend(pool);
  const ParameterVector gradients = gradients_on(backend, false);
  ASSERT_EQ(reference_.tensors.size(), model_->parameters().size() + 1);  // and the loss
  for (const ops::Parameter* parameter : std::as_const(*model_).parameters()) {
    const Tensor& expected = reference_.tensors.at(parameter->name);
    // The keys' part of a bias has no gradient but rounding, which is measured against the whole bias here.
    EXPECT_LE(testing::relative_error(gradients.of(*parameter), expected.values()), kTolerance) << parameter->name;
  }
}

TEST_P(GradientTest, SameBitsOnAnyThreadCountAndRecomputed) {
  ThreadPool alone(1);
  NativeBackend one(alone);
  const ParameterVector expected = gradients_on(one, false);
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    NativeBackend backend(pool);
    for (const bool recompute_sublayers : {false, true, false}) {
      const ParameterVector found = gradients_on(backend, recompute_sublayers);
      for (const ops::Parameter* parameter : std::as_const(*model_).parameters()) {
        const std::span<const float> a = found.of(*parameter);
        ASSERT_EQ(std::memcmp(a.data(), expected.of(*parameter).data(), a.size_bytes()), 0)
            << parameter->name << " on " << threads << " threads" << (recompute_sublayers ? ", recomputed" : "");
      }
    }
  }
}

TEST_P(GradientTest, Bf16RoundsALittleAndTheSameOnAnyThreadCount) {
  ThreadPool alone(1);
  NativeBackend one(alone);
  const ParameterVector exact = gradients_on(one, false);
  one.set_precision(ops::Precision::kBf16);
  const ParameterVector expected = gradients_on(one, false, 1e-2);
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < exact.all().size(); ++i) {
    const double a = exact.all()[i];
    difference += (expected.all()[i] - a) * (expected.all()[i] - a);
    norm += a * a;
  }
  // bfloat16 has 8 bits; gradients whose terms cancel are off by more than others.
  EXPECT_LE(std::sqrt(difference / norm), 0.05);
  EXPECT_GE(std::sqrt(difference / norm), 0.001);
  for (const int threads : {2, 7}) {
    ThreadPool pool(threads);
    NativeBackend backend(pool);
    backend.set_precision(ops::Precision::kBf16);
    const ParameterVector found = gradients_on(backend, threads == 7, 1e-2);
    EXPECT_EQ(std::memcmp(found.all().data(), expected.all().data(), expected.all().size_bytes()), 0) << threads;
  }
  one.set_precision(ops::Precision::kF32);
  const ParameterVector again = gradients_on(one, false);
  EXPECT_EQ(std::memcmp(again.all().data(), exact.all().data(), exact.all().size_bytes()), 0);
}

INSTANTIATE_TEST_SUITE_P(References, GradientTest, ::testing::Values("plain", "scaled", "dropped", "padded_windows"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gcvit::native
