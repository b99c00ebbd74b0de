// SPDX-License-Identifier: Apache-2.0
// The order of an epoch's photos, and the random number streams of everything in training.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace gcvit::data {

/// What random numbers are used for. Each purpose with each triple of numbers has its own stream.
enum class Purpose : std::uint32_t { kOrder = 1, kSplit, kView, kMix, kDropPath, kWeights };

/// The stream for `purpose` at (first, second, third), for example a step and a sample.
Random random_for(std::uint64_t seed, Purpose purpose, std::uint64_t first = 0, std::uint64_t second = 0,
                  std::uint32_t third = 0);

/// The numbers that decide whether `sample` keeps residual branch `branch` (from 0) of the network in a step. Samples
/// below 2^52 have a stream for each branch.
Random random_for_branch(std::uint64_t seed, std::uint64_t step, std::uint64_t sample, std::uint32_t branch);

/// Shuffles in place; each order is equally likely.
void shuffle(std::span<std::size_t> items, Random& random);

/// `samples` in the order of epoch `epoch`: shuffled by (seed, epoch), or unchanged unless `shuffled`.
std::vector<std::size_t> epoch_order(std::span<const std::size_t> samples, std::uint64_t seed, std::uint64_t epoch,
                                     bool shuffled);

}  // namespace gcvit::data
