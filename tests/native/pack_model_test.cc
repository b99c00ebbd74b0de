// SPDX-License-Identifier: Apache-2.0
#include "native/pack_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "base/error.h"
#include "model/gcvit.h"
#include "native/native_backend.h"
#include "tests/native/test_model.h"

namespace gcvit::native {
namespace {

/// A model with values, and one of the same config without.
struct Models {
  model::GCViT filled{testing::tiny_config()};
  model::GCViT empty{testing::tiny_config()};
  std::vector<std::int32_t> asked;

  Models() { testing::fill_alive(filled, 9); }

  ops::TypedValues values(const ops::Parameter& parameter) {
    asked.push_back(parameter.id);
    const ops::Parameter& from = *filled.parameters()[static_cast<std::size_t>(parameter.id)];
    return {from.tensor, from.scales};
  }

  std::shared_ptr<PackedParameters> pack(ThreadPool& pool) {
    const auto forward = [&](ops::Backend& backend) { empty.forward(backend, ops::Value(backend, 0, {64, 64, 3})); };
    return pack_model(
        forward, empty.parameters(), [&](const ops::Parameter& parameter) { return values(parameter); }, pool);
  }
};

bool is_of_product(const ops::Parameter& parameter) {
  return parameter.role == ops::Role::kLinear || parameter.role == ops::Role::kPointwise ||
         parameter.role == ops::Role::kConvolution;
}

TEST(PackModel, AsksForEachParameterOnceAndKeepsOnlyTheSmallOnes) {
  Models models;
  ThreadPool pool(2);
  const auto packed = models.pack(pool);
  const std::set<std::int32_t> different(models.asked.begin(), models.asked.end());
  EXPECT_EQ(models.asked.size(), models.empty.parameters().size());
  EXPECT_EQ(different.size(), models.asked.size());
  for (const ops::Parameter* parameter : models.empty.parameters()) {
    EXPECT_EQ(parameter->tensor.empty(), parameter->dims.size() > 1) << parameter->name;
    const Tensor& original = models.filled.parameters()[static_cast<std::size_t>(parameter->id)]->tensor;
    if (parameter->dims.size() > 1) {
      EXPECT_TRUE(std::ranges::equal(packed->unpack(*parameter).values(), original.values())) << parameter->name;
    } else {
      EXPECT_NE(parameter->tensor.values().data(), original.values().data());
      EXPECT_TRUE(std::ranges::equal(parameter->tensor.values(), original.values())) << parameter->name;
    }
  }
}

TEST(PackModel, BackendsOnItComputeWhatOneOfTheirOwnDoes) {
  ThreadPool pool(2);
  const std::vector<float> input = testing::random_values(2 * 64 * 64 * 3, 1);
  for (const bool in_bf16 : {false, true}) {
    Models fresh;
    if (in_bf16) {
      for (ops::Parameter* parameter : fresh.filled.parameters()) {
        if (is_of_product(*parameter)) parameter->tensor = parameter->tensor.to(DType::kBF16);
      }
    }
    NativeBackend own(pool);
    own.start(2);
    const ops::Value expected = fresh.filled.forward(own, own.input({64, 64, 3}, input));
    const auto packed = fresh.pack(pool);
    for (int i = 0; i < 2; ++i) {
      NativeBackend shared(pool, packed);
      shared.start(2);
      const ops::Value found = fresh.empty.forward(shared, shared.input({64, 64, 3}, input));
      EXPECT_TRUE(std::ranges::equal(shared.read(found), own.read(expected)));
    }
  }
}

/// Every weight of a product as whole numbers times its channel's scale.
void quantise(model::GCViT& model) {
  for (ops::Parameter* parameter : model.parameters()) {
    if (!is_of_product(*parameter)) continue;
    auto integers = std::make_shared<std::vector<std::int8_t>>();
    for (std::int64_t i = 0; i < parameter->tensor.size(); ++i) {
      integers->push_back(static_cast<std::int8_t>((i * 37 + parameter->id) % 255 - 127));
    }
    parameter->tensor = Tensor(DType::kI8, parameter->dims, integers, std::as_bytes(std::span(*integers)));
    parameter->scales =
        Tensor::from_values({parameter->dims[0]}, testing::random_values(parameter->dims[0], parameter->id));
    for (float& scale : parameter->scales.mutable_values()) scale = std::abs(scale) * 0.002f;
    ++parameter->version;
  }
}

TEST(PackModel, Int8WeightsComputeNearlyWhatTheirFloatsDo) {
  Models models;
  ThreadPool pool(2);
  quantise(models.filled);
  const auto packed = models.pack(pool);
  Models floats;
  for (std::size_t i = 0; i < models.filled.parameters().size(); ++i) {
    const ops::Parameter& from = *models.filled.parameters()[i];
    floats.filled.parameters()[i]->tensor = ops::to_f32({from.tensor, from.scales});
    if (!is_of_product(from)) continue;
    // What was packed comes back exactly.
    EXPECT_TRUE(std::ranges::equal(packed->unpack(*models.empty.parameters()[i]).values(),
                                   floats.filled.parameters()[i]->tensor.values()))
        << from.name;
  }
  const auto as_floats = floats.pack(pool);
  EXPECT_LT(packed->bytes(), as_floats->bytes() / 2);
  const std::vector<float> input = testing::random_values(2 * 64 * 64 * 3, 1);
  const auto logits = [&](const Models& of, const std::shared_ptr<PackedParameters>& weights) {
    NativeBackend backend(pool, weights);
    backend.start(2);
    const ops::Value value = of.empty.forward(backend, backend.input({64, 64, 3}, input));
    const std::span<const float> values = backend.read(value);
    return std::vector<float>(values.begin(), values.end());
  };
  const std::vector<float> exact = logits(floats, as_floats);
  const std::vector<float> rounded = logits(models, packed);
  EXPECT_NE(exact, rounded);
  EXPECT_LT(testing::relative_error(rounded, exact), 0.05);
}

TEST(PackModel, RefusesWhatIsntThere) {
  Models models;
  ThreadPool pool(1);
  const auto packed = models.pack(pool);
  const ops::Parameter& norm = **std::ranges::find_if(
      models.filled.parameters(), [](const ops::Parameter* one) { return one->role == ops::Role::kNormScale; });
  EXPECT_THROW(packed->unpack(norm), Error);
  EXPECT_THROW(packed->set_precision(kernels::Precision::kBf16), Error);
  // Another model's parameters, whose versions are others.
  NativeBackend backend(pool, packed);
  backend.start(1);
  EXPECT_THROW(models.filled.forward(backend, backend.input({64, 64, 3}, testing::random_values(64 * 64 * 3, 1))),
               Error);
}

TEST(PackModel, WhatTheSourceThrowsComesOut) {
  model::GCViT model(testing::tiny_config());
  ThreadPool pool(1);
  const auto forward = [&](ops::Backend& backend) { model.forward(backend, ops::Value(backend, 0, {64, 64, 3})); };
  EXPECT_THROW(
      pack_model(
          forward, model.parameters(), [](const ops::Parameter&) -> ops::TypedValues { fail("[test] none"); }, pool),
      Error);
}

}  // namespace
}  // namespace gcvit::native
