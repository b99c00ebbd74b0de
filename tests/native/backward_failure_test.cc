// SPDX-License-Identifier: Apache-2.0
// What is left of a run whose backward throws half-way: nothing. Worth most under AddressSanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/native_backend.h"
#include "native/parameter_vector.h"
#include "tests/native/test_model.h"
#include "tests/testing/error_of.h"

namespace gcvit::native {
namespace {

using testing::error_of;

class BackwardFailure : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr std::int32_t kImages = 2;

  BackwardFailure() : model_(testing::tiny_config()), pool_(2) {
    testing::fill_alive(model_, 3);
    images_ = testing::random_values(kImages * shape_.size(), 4);
    slope_ = testing::random_values(std::int64_t{kImages} * model_.config().classes, 5);
  }

  /// Forward of a new training run; retains the input's gradient.
  void start(NativeBackend& backend) {
    logits_ = input_ = {};
    NativeBackend::Training training;
    training.recompute_sublayers = GetParam();
    backend.start_training(kImages, std::move(training));
    input_ = backend.input(shape_, images_);
    backend.retain_grad(input_);
    logits_ = model_.forward(backend, input_);
  }

  std::vector<float> gradients(NativeBackend& backend) {
    start(backend);
    ParameterVector sums(std::as_const(model_).parameters());
    backend.backward(logits_, slope_, sums);
    std::vector<float> result(sums.all().begin(), sums.all().end());
    const std::span<const float> retains_grad = backend.gradient_of(input_);
    result.insert(result.end(), retains_grad.begin(), retains_grad.end());
    return result;
  }

  /// Takes a parameter's values away, which its backward asks for.
  static Tensor take_away(ops::Parameter& parameter) {
    ++parameter.version;
    return std::exchange(parameter.tensor, Tensor());
  }

  model::GCViT model_;
  ThreadPool pool_;
  const ops::Shape shape_{64, 64, 3};
  std::vector<float> images_;
  std::vector<float> slope_;
  ops::Value input_;
  ops::Value logits_;
};

TEST_P(BackwardFailure, TheNextRunIsAsIfNothingHadHappened) {
  NativeBackend backend(pool_);
  const std::vector<float> expected = gradients(backend);
  int thrown = 0;
  for (ops::Parameter* parameter : model_.parameters()) {
    if (parameter->id % 7 != 0) continue;  // from the stem to the head
    start(backend);
    const Tensor values = take_away(*parameter);
    auto sums = std::make_unique<ParameterVector>(std::as_const(model_).parameters());
    const std::string error = error_of([&] { backend.backward(logits_, slope_, *sums); });
    sums.reset();
    parameter->tensor = values;
    ++parameter->version;
    if (error == "no error") continue;  // a bias, whose values no gradient depends on
    ++thrown;
    EXPECT_NE(error.find("has no values"), std::string::npos) << error;
    EXPECT_NE(error_of([&] { static_cast<void>(backend.gradient_of(input_)); }), "no error") << "half a gradient";
    EXPECT_NE(error_of([&] {
                ParameterVector again(std::as_const(model_).parameters());
                backend.backward(logits_, slope_, again);
              }),
              "no error");
    ASSERT_EQ(gradients(backend), expected) << parameter->name;
  }
  EXPECT_GE(thrown, 5);
  logits_ = input_ = {};
}

TEST_P(BackwardFailure, TheBackendMayEndRightBehindIt) {
  auto backend = std::make_unique<NativeBackend>(pool_);
  start(*backend);
  const auto norm = std::ranges::find(model_.parameters(), "norm.weight", &ops::Parameter::name);
  ASSERT_NE(norm, model_.parameters().end());
  const Tensor values = take_away(**norm);
  ParameterVector sums(std::as_const(model_).parameters());
  EXPECT_NE(error_of([&] { backend->backward(logits_, slope_, sums); }), "no error");
  logits_ = input_ = {};
  backend.reset();
}

TEST_P(BackwardFailure, AForwardThatThrowsLeavesNothingEither) {
  NativeBackend backend(pool_);
  const std::vector<float> expected = gradients(backend);
  for (ops::Parameter* parameter : model_.parameters()) {
    if (parameter->id % 7 != 3) continue;
    const Tensor values = take_away(*parameter);
    EXPECT_NE(error_of([&] { start(backend); }), "no error") << parameter->name;
    EXPECT_NE(error_of([&] { start(backend); }), "no error") << parameter->name << ", asked again";
    parameter->tensor = values;
    ++parameter->version;
    ASSERT_EQ(gradients(backend), expected) << parameter->name;
  }
  logits_ = input_ = {};
}

TEST_P(BackwardFailure, ValuesOfAnEarlierRunAreNoneOfTheNext) {
  NativeBackend backend(pool_);
  start(backend);
  const ops::Value kept = logits_;
  const std::string refused = "[native] expected a value of this run, found one of a run that `start` has ended";
  backend.start(1);
  EXPECT_EQ(error_of([&] { static_cast<void>(backend.gradient_of(kept)); }), refused);
  backend.start_training(1, {});
  EXPECT_EQ(error_of([&] { backend.retain_grad(kept); }), refused);
  ParameterVector sums(std::as_const(model_).parameters());
  EXPECT_EQ(error_of([&] { backend.backward(kept, slope_, sums); }), refused);
  logits_ = input_ = {};
}

INSTANTIATE_TEST_SUITE_P(Sublayers, BackwardFailure, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "ComputedAgain" : "Kept"; });

}  // namespace
}  // namespace gcvit::native
