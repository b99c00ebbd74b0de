// SPDX-License-Identifier: Apache-2.0
// The order in which an epoch walks its photos, and the random numbers of everything around it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace gcvit::data {

/// What random numbers are for. Each purpose, and each triple of numbers with it, has a stream of its own.
enum class Purpose : std::uint32_t { kOrder = 1, kSplit, kView, kMix, kDropPath, kWeights };

/// The numbers for `purpose` at (first, second, third), for example a step and a sample.
Random random_for(std::uint64_t seed, Purpose purpose, std::uint64_t first = 0, std::uint64_t second = 0,
                  std::uint32_t third = 0);

/// The numbers that decide whether `sample` keeps residual branch `branch` (from 0) of the network in a step. Samples
/// below 2^52 have a stream for each branch.
Random random_for_branch(std::uint64_t seed, std::uint64_t step, std::uint64_t sample, std::uint32_t branch);

/// Shuffles in place; each order is equally likely.
void shuffle(std::span<std::size_t> items, Random& random);

/// `samples` as epoch `epoch` walks them: an order that (seed, epoch) decides, or as they are unless `shuffled`.
std::vector<std::size_t> epoch_order(std::span<const std::size_t> samples, std::uint64_t seed, std::uint64_t epoch,
                                     bool shuffled);

}  // namespace gcvit::data
