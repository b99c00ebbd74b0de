// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"

#include <algorithm>

namespace gcvit::kernels {

void Arena::reserve(std::int64_t floats) {
  if (floats <= 0) return;
  chunks_.push_back({.memory = AlignedBuffer(floats), .used = 0});
  reserved_ += floats;
}

float* Arena::allocate(std::int64_t floats) {
  constexpr auto kStep = static_cast<std::int64_t>(kAlignment / sizeof(float));
  constexpr std::int64_t kSmallest = std::int64_t{1} << 14;
  constexpr std::int64_t kLargest = std::int64_t{1} << 22;
  floats = (floats + kStep - 1) / kStep * kStep;
  const auto has_room = [&](const Chunk& chunk) { return chunk.memory.size() - chunk.used >= floats; };
  auto chunk = std::ranges::find_if(chunks_, has_room);
  if (chunk == chunks_.end()) {
    // As much as there is already: few chunks for a large model, little for a small one.
    reserve(std::max(floats, std::clamp(reserved_, kSmallest, kLargest)));
    chunk = chunks_.end() - 1;
  }
  float* const data = chunk->memory.data() + chunk->used;
  chunk->used += floats;
  return data;
}

}  // namespace gcvit::kernels
