// SPDX-License-Identifier: Apache-2.0
// The backward of a block's sub-layers as tile loops, like their forward: a tile goes through the whole sub-layer on one
// core, only the sub-layer's input is kept, and the rest is computed again where it is used. For maps with many positions,
// whose values would have to come from memory and whose weights fit the cache; where channels are many the composition is
// faster.
#pragma once

#include <cstdint>

#include "native/branch.h"
#include "native/native_backend.h"
#include "ops/backend.h"

namespace gcvit::native {

/// Whether a sub-layer on such a map takes this form: where positions are many and the weights few, so that what a group of
/// tiles adds up by itself is small against its work. It decides the order of sums, so by shape alone.
inline bool backward_is_tile_loop(const ops::Shape& map) {
  return map.channels <= 128 && map.positions() >= 2 * std::int64_t{map.channels};
}

struct AttentionSublayerBackward {
  ops::Value x;
  ops::Value query;  ///< the global one, or empty
  ops::AttentionSublayer sublayer;  ///< its `global_query` is not looked at
  Branch branch;
  std::int32_t x_node;  ///< -1 when x needs no gradient
  std::int32_t query_node;

  void run(NativeBackend& backend, NativeBackend::State& state, ops::Value gradient) const;
};

struct MlpSublayerBackward {
  ops::Value x;
  ops::MlpSublayer sublayer;
  Branch branch;
  std::int32_t x_node;

  void run(NativeBackend& backend, NativeBackend::State& state, ops::Value gradient) const;
};

}  // namespace gcvit::native
