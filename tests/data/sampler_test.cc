// SPDX-License-Identifier: Apache-2.0
#include "data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>

namespace gcvit::data {
namespace {

using Order = std::vector<std::size_t>;

TEST(Sampler, AnEpochIsAPermutationThatItsSeedAndNumberDecide) {
  Order samples(100);
  std::iota(samples.begin(), samples.end(), std::size_t{50});
  std::set<Order> seen;
  for (const std::uint64_t seed : {1, 2}) {
    for (const std::uint64_t epoch : {0, 1, 2}) {
      Order order = epoch_order(samples, seed, epoch, true);
      EXPECT_EQ(order, epoch_order(samples, seed, epoch, true));
      EXPECT_TRUE(seen.insert(order).second);
      std::sort(order.begin(), order.end());
      EXPECT_EQ(order, samples);
    }
  }
  EXPECT_EQ(epoch_order(samples, 1, 5, false), samples);
  EXPECT_EQ(epoch_order({}, 1, 5, true), Order{});
}

TEST(Sampler, EachOrderIsEquallyLikely) {
  std::array<int, 6> counts{};
  for (std::uint64_t epoch = 0; epoch < 6000; ++epoch) {
    const Order order = epoch_order(Order{0, 1, 2}, 7, epoch, true);
    ++counts[order[0] * 2 + (order[1] > order[2])];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 120);
}

TEST(Sampler, PurposesAndPlacesHaveStreamsOfTheirOwn) {
  std::set<std::uint32_t> firsts;
  std::size_t streams = 0;
  for (const Purpose purpose : {Purpose::kOrder, Purpose::kSplit, Purpose::kView, Purpose::kMix}) {
    for (std::uint64_t first = 0; first < 20; ++first) {
      for (std::uint64_t second = 0; second < 20; ++second, ++streams) {
        firsts.insert(random_for(3, purpose, first, second).bits());
      }
    }
  }
  EXPECT_EQ(firsts.size(), streams);
  // What makes a resumed run go on with the same bits.
  EXPECT_EQ(random_for(3, Purpose::kView, 1, 2).bits(), random_for(3, Purpose::kView, 1, 2).bits());
}

TEST(Sampler, EachBranchOfTheDeepestModelHasAStreamOfItsOwn) {
  // 4 levels of 1000 blocks, each with two residual branches.
  std::set<std::uint64_t> firsts;
  for (std::uint64_t sample = 0; sample < 4; ++sample) {
    for (std::uint32_t branch = 0; branch < 8000; ++branch) {
      Random random = random_for_branch(3, 5, sample, branch);
      const std::uint64_t high = random.bits();
      firsts.insert(high << 32 | random.bits());
    }
  }
  EXPECT_EQ(firsts.size(), 4u * 8000u);
}

TEST(Sampler, ABranchBelow4096DrawsWhatItAlwaysDrew) {
  for (const std::uint64_t sample : {0u, 1u, 77u, 1000000u}) {
    for (const std::uint32_t branch : {0u, 1u, 59u, 4095u}) {
      Random random = random_for_branch(3, 5, sample, branch);
      EXPECT_EQ(random.bits(), random_for(3, Purpose::kDropPath, 5, sample << 12 | branch).bits());
    }
  }
  // What Philox gives by its definition.
  EXPECT_EQ(random_for_branch(3, 5, 7, 11).bits(), 2771783707u);
}

}  // namespace
}  // namespace gcvit::data
