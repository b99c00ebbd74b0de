// SPDX-License-Identifier: Apache-2.0
// What every executor refuses: values of an ended run and of another backend, vectors of another executor.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "native/native_backend.h"
#include "tests/native/test_model.h"
#include "tests/testing/error_of.h"
#include "tests/testing/scalar_executor.h"

namespace gcvit {
namespace {

using ops::Role;
using ops::Shape;
using ops::Value;
using testing::error_of;
using testing::random_parameter;

constexpr Shape kMap{4, 6, 8};

class ExecutorTest : public ::testing::TestWithParam<std::string> {
 protected:
  ExecutorTest() : executor_(make()), other_(make()) {}

  std::unique_ptr<ops::TrainingExecutor> make() {
    if (GetParam() == "native") return std::make_unique<native::NativeBackend>(pool_);
    return std::make_unique<testing::ScalarExecutor>();
  }
  static Value input(ops::Executor& executor, const Shape& shape = kMap) {
    return executor.input(shape, testing::random_values(shape.size(), 1));
  }

  /// Everything that takes values, with all arguments of `e`'s running run but those of `kMap` in `x` and `query`.
  std::map<std::string, std::function<void(ops::TrainingExecutor& e, const Value& x, const Value& query)>> uses() {
    return {
        {"read", [](auto& e, const Value& x, const Value&) { static_cast<void>(e.read(x)); }},
        {"convolution", [&](auto& e, const Value& x, const Value&) { e.convolution3x3_stride2(x, convolution_); }},
        {"depthwise", [&](auto& e, const Value& x,
                          const Value&) { e.depthwise_convolution3x3(x, depthwise_, ops::Activation::kGelu); }},
        {"linear", [&](auto& e, const Value& x, const Value&) { e.linear(x, proj_, {}); }},
        {"residual",
         [&](auto& e, const Value& x, const Value&) {
           const ops::Residual residual{x};
           e.linear(input(e), proj_, {.residual = &residual});
         }},
        {"layer_norm", [&](auto& e, const Value& x, const Value&) { e.layer_norm(x, norm_); }},
        {"max_pool", [](auto& e, const Value& x, const Value&) { e.max_pool3x3_stride2(x, ops::PoolPadding::kZero); }},
        {"average_pool", [](auto& e, const Value& x, const Value&) { e.global_average_pool(x); }},
        {"scale_channels", [](auto& e, const Value& x, const Value&) { e.scale_channels(x, input(e, {1, 1, 8})); }},
        {"window_attention",
         [&](auto& e, const Value& x, const Value&) { e.window_attention(x, nullptr, local_table_, 1, {2, 2}); }},
        {"global query",
         [&](auto& e, const Value&, const Value& query) {
           e.window_attention(input(e, {4, 6, 16}), &query, table_, 2, {2, 2});
         }},
        {"pad", [](auto& e, const Value& x, const Value&) { e.pad_bottom_right(x, 5, 7); }},
        {"crop", [](auto& e, const Value& x, const Value&) { e.crop(x, 3, 3); }},
        {"resize", [](auto& e, const Value& x, const Value&) { e.resize_bicubic(x, 3, 3); }},
        {"attention_sublayer", [&](auto& e, const Value& x, const Value&) { attend(e, x, input(e, {2, 2, 8})); }},
        {"its global query", [&](auto& e, const Value&, const Value& query) { attend(e, input(e), query); }},
        {"mlp_sublayer", [&](auto& e, const Value& x,
                             const Value&) { e.mlp_sublayer(x, {.norm = norm_, .fc1 = proj_, .fc2 = proj_}); }},
    };
  }
  void attend(ops::Executor& executor, const Value& x, const Value& query) {
    executor.attention_sublayer(x, {.norm = norm_,
                                    .qkv = key_value_,
                                    .bias_table = table_,
                                    .proj = proj_,
                                    .heads = 2,
                                    .window = {2, 2},
                                    .global_query = &query});
  }

  ThreadPool pool_{1};
  std::unique_ptr<ops::TrainingExecutor> executor_, other_;
  ops::Conv3x3 convolution_{random_parameter(Role::kConvolution, {5, 8, 3, 3}, 1, 0.3f), {}};
  ops::Conv3x3 depthwise_{random_parameter(Role::kDepthwise, {8, 1, 3, 3}, 2, 0.3f), {}};
  ops::Linear proj_{random_parameter(Role::kLinear, {8, 8}, 3, 0.3f), {}};
  ops::Linear key_value_{random_parameter(Role::kLinear, {16, 8}, 4, 0.3f), {}};
  ops::LayerNorm norm_{random_parameter(Role::kNormScale, {8}, 5, 0.3f), random_parameter(Role::kNormShift, {8}, 6, 1)};
  ops::Parameter table_ = random_parameter(Role::kBiasTable, {9, 2}, 7, 0.3f);
  ops::Parameter local_table_ = random_parameter(Role::kBiasTable, {9, 1}, 8, 0.3f);
};

TEST_P(ExecutorTest, RefusesValuesOfAnEndedRun) {
  for (const bool training : {false, true}) {
    for (const auto& [name, use] : uses()) {
      const Shape shape = name == "window_attention" ? Shape{4, 6, 24} : kMap;
      const auto start = [&] { training ? executor_->start_training(1, {}) : executor_->start(1); };
      start();
      const Value x = input(*executor_, shape);
      const Value query = input(*executor_, {2, 2, 8});
      EXPECT_EQ(error_of([&] { use(*executor_, x, query); }), "no error") << name;
      start();
      EXPECT_NE(error_of([&] { use(*executor_, x, query); }).find("expected a value of this run"), std::string::npos)
          << name;
      EXPECT_EQ(error_of([&] { use(*executor_, input(*executor_, shape), input(*executor_, {2, 2, 8})); }), "no error")
          << name << ": the run goes on";
    }
  }
}

TEST_P(ExecutorTest, RefusesValuesOfAnotherBackend) {
  for (const auto& [name, use] : uses()) {
    const Shape shape = name == "window_attention" ? Shape{4, 6, 24} : kMap;
    executor_->start(1);
    other_->start(1);
    const Value own = input(*executor_, shape);  // with the same id as the other's
    const Value x = input(*other_, shape);
    const Value query = input(*other_, {2, 2, 8});
    EXPECT_NE(error_of([&] { use(*executor_, x, query); }).find("found one of another"), std::string::npos) << name;
  }
}

TEST_P(ExecutorTest, RefusesAnEmptyValue) {
  executor_->start(1);
  EXPECT_NE(error_of([&] { static_cast<void>(executor_->read({})); }), "no error");
}

TEST_P(ExecutorTest, AVectorOfParametersIsReadAndWritten) {
  ops::Parameter first(Role::kLinear, {2, 3});
  ops::Parameter second(Role::kBias, {2});
  first.id = 0;
  second.id = 1;
  const std::vector<const ops::Parameter*> parameters{&first, &second};
  const auto values_of = [](const ops::ParameterVector& vector, const ops::Parameter& parameter) {
    const std::span<const float> values = vector.read(parameter);
    return std::vector<float>(values.begin(), values.end());
  };
  const auto a = executor_->make_vector(parameters);
  const auto b = executor_->make_vector(parameters);
  EXPECT_EQ(values_of(*a, first), std::vector<float>(6, 0.0f));
  a->write(first, std::vector<float>{1, 2, 3, 4, 5, 6});
  a->write(second, std::vector<float>{-1, 2});
  b->write(first, std::vector<float>(6, 0.5f));
  EXPECT_EQ(error_of([&] { a->write(second, std::vector<float>(3)); }).substr(0, 1), "[");
  executor_->add(*a, *b);
  executor_->scale(*a, 2.0f);
  EXPECT_EQ(values_of(*a, first), (std::vector<float>{3, 5, 7, 9, 11, 13}));
  EXPECT_EQ(values_of(*a, second), (std::vector<float>{-2, 4}));
  EXPECT_DOUBLE_EQ(executor_->norm(*a, std::vector<const ops::Parameter*>{&second}), std::sqrt(20.0));
  EXPECT_DOUBLE_EQ(executor_->norm(*a, parameters), std::sqrt(20.0 + 9 + 25 + 49 + 81 + 121 + 169));

  second.tensor = Tensor::from_values({2}, std::vector<float>{8, 9});
  const std::vector<ops::Parameter*> swapped{&second};
  executor_->swap(*a, swapped);
  executor_->update_tensors(swapped);
  EXPECT_EQ(second.version, 1u);
  EXPECT_EQ(second.tensor.values()[0], -2.0f);
  EXPECT_EQ(values_of(*a, second), (std::vector<float>{8, 9}));
}

TEST_P(ExecutorTest, RefusesVectorsOfAnother) {
  ops::Parameter parameter(Role::kBias, {2});
  parameter.id = 0;
  const std::vector<const ops::Parameter*> parameters{&parameter};
  native::NativeBackend native(pool_);
  testing::ScalarExecutor scalar;
  ops::TrainingExecutor& another = GetParam() == "native" ? static_cast<ops::TrainingExecutor&>(scalar) : native;
  const auto own = executor_->make_vector(parameters);
  const auto foreign = another.make_vector(parameters);
  const auto refuses = [](const std::function<void()>& use) {
    return error_of(use).find("expected a parameter vector of this executor") != std::string::npos;
  };
  EXPECT_TRUE(refuses([&] { executor_->add(*own, *foreign); }));
  EXPECT_TRUE(refuses([&] { executor_->add(*foreign, *own); }));
  EXPECT_TRUE(refuses([&] { executor_->scale(*foreign, 2.0f); }));
  EXPECT_TRUE(refuses([&] { static_cast<void>(executor_->norm(*foreign, parameters)); }));
  executor_->start_training(1, {});
  const Value x = input(*executor_);
  EXPECT_TRUE(refuses([&] { executor_->backward(x, std::vector<float>(192), *foreign); }));
}

INSTANTIATE_TEST_SUITE_P(Executors, ExecutorTest, ::testing::Values("native", "scalar"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gcvit
