// SPDX-License-Identifier: Apache-2.0
#include "data/sampler.h"

#include <utility>

namespace gcvit::data {

Random random_for(std::uint64_t seed, Purpose purpose, std::uint64_t first, std::uint64_t second, std::uint32_t third) {
  // 64 bits of stream from 192 of key, as evenly as random numbers are spread.
  const auto words = philox({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first >> 32),
                             static_cast<std::uint32_t>(second), static_cast<std::uint32_t>(second >> 32)},
                            {static_cast<std::uint32_t>(purpose), third});
  return Random(seed, std::uint64_t{words[1]} << 32 | words[0]);
}

Random random_for_branch(std::uint64_t seed, std::uint64_t step, std::uint64_t sample, std::uint32_t branch) {
  // The low bits of the branch share a number with the sample, its high bits are one of their own: 4 levels of 1000
  // blocks have 8000 branches.
  constexpr int kLowBits = 12;
  const std::uint32_t low = branch & ((1u << kLowBits) - 1);
  return random_for(seed, Purpose::kDropPath, step, sample << kLowBits | low, branch >> kLowBits);
}

void shuffle(std::span<std::size_t> items, Random& random) {
  for (std::size_t left = items.size(); left > 1; --left) {
    std::swap(items[left - 1], items[random.below(static_cast<std::uint32_t>(left))]);
  }
}

std::vector<std::size_t> epoch_order(std::span<const std::size_t> samples, std::uint64_t seed, std::uint64_t epoch,
                                     bool shuffled) {
  std::vector<std::size_t> order(samples.begin(), samples.end());
  if (shuffled) {
    Random random = random_for(seed, Purpose::kOrder, epoch);
    shuffle(order, random);
  }
  return order;
}

}  // namespace gcvit::data
