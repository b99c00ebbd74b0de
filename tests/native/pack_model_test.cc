// SPDX-License-Identifier: Apache-2.0
#include "native/pack_model.h"

#include <gtest/gtest.h>

#include <algorithm>
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

  Tensor values(const ops::Parameter& parameter) {
    asked.push_back(parameter.id);
    return filled.parameters()[static_cast<std::size_t>(parameter.id)]->tensor;
  }

  std::shared_ptr<PackedParameters> pack(const PackOptions& options, ThreadPool& pool) {
    const auto forward = [&](ops::Backend& backend) { empty.forward(backend, ops::Value(backend, 0, {64, 64, 3})); };
    return pack_model(
        forward, empty.parameters(), [&](const ops::Parameter& parameter) { return values(parameter); }, options, pool);
  }
};

TEST(PackModel, AsksForEachParameterOnceAndKeepsOnlyTheSmallOnes) {
  Models models;
  ThreadPool pool(2);
  const auto packed = models.pack({}, pool);
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
  Models models;
  ThreadPool pool(2);
  const std::vector<float> input = testing::random_values(2 * 64 * 64 * 3, 1);
  for (const ops::Precision precision : {ops::Precision::kF32, ops::Precision::kBf16}) {
    NativeBackend own(pool);
    own.set_precision(precision);
    own.start(2);
    const ops::Value expected = models.filled.forward(own, own.input({64, 64, 3}, input));
    Models fresh;
    const auto packed = fresh.pack({.precision = precision}, pool);
    for (int i = 0; i < 2; ++i) {
      NativeBackend shared(pool, packed);
      shared.start(2);
      const ops::Value found = fresh.empty.forward(shared, shared.input({64, 64, 3}, input));
      EXPECT_TRUE(std::ranges::equal(shared.read(found), own.read(expected)));
    }
  }
}

TEST(PackModel, RefusesWhatIsntThere) {
  Models models;
  ThreadPool pool(1);
  const auto packed = models.pack({}, pool);
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
  EXPECT_THROW(pack_model(
                   forward, model.parameters(), [](const ops::Parameter&) -> Tensor { fail("[test] none"); }, {}, pool),
               Error);
}

}  // namespace
}  // namespace gcvit::native
