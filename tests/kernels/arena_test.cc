// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/gemm.h"

namespace gcvit::kernels {
namespace {

TEST(Arena, BuffersLieOnBoundariesAndApart) {
  for (const std::int64_t reserved : {0, 100, 100'000}) {
    Arena arena;
    arena.reserve(reserved);
    std::vector<AlignedBuffer> buffers;
    for (const std::int64_t size : {1, 16, 17, 5000, 70'000, 3, 2'000'000, 1}) {
      AlignedBuffer& buffer = buffers.emplace_back(size, arena);
      EXPECT_EQ(buffer.size(), size);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kAlignment, 0u);
      std::fill_n(buffer.data(), size, static_cast<float>(buffers.size()));
    }
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      const auto is_own = [&](float value) { return value == static_cast<float>(i + 1); };
      EXPECT_TRUE(std::all_of(buffers[i].data(), buffers[i].data() + buffers[i].size(), is_own)) << i;
    }
  }
}

TEST(Arena, WhatWasReservedIsOnePiece) {
  Arena arena;
  arena.reserve(1024);
  const float* const first = arena.allocate(10);
  EXPECT_EQ(arena.allocate(1000), first + 16);
  const float* const beyond = arena.allocate(1);
  EXPECT_TRUE(beyond < first || beyond >= first + 1024);
}

TEST(Arena, PackedWeightsMoveWithTheirMemory) {
  const std::vector<float> weights(7 * 5, 0.5f);
  Arena arena;
  PackedWeights packed;
  allocate(nullptr, 7, 1, 5, packed, Precision::kF32, &arena);
  const float* const panels = packed.panels.data();
  allocate(nullptr, 7, 1, 5, packed, Precision::kF32, &arena);
  EXPECT_EQ(packed.panels.data(), panels) << "memory of the same size is used again";
  pack_panels(weights.data(), packed, 0, panel_count(7));
  const PackedWeights moved = std::move(packed);
  std::vector<float> unpacked(weights.size());
  unpack_weights(moved, unpacked.data());
  EXPECT_EQ(unpacked, weights);
}

}  // namespace
}  // namespace gcvit::kernels
