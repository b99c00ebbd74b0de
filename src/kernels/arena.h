// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.h"

namespace gcvit::kernels {

/// Memory of buffers that go all at once: they lie side by side, so what huge pages round up is rounded once and not for
/// each buffer. Of one thread.
class Arena {
 public:
  /// Room for `floats` more in one piece. What isn't used of it takes address space alone.
  void reserve(std::int64_t floats);
  /// `floats` floats on a 64-byte boundary, not initialised, for as long as the arena.
  float* allocate(std::int64_t floats);

 private:
  struct Chunk {
    AlignedBuffer memory;
    std::int64_t used = 0;
  };
  std::vector<Chunk> chunks_;
  std::int64_t reserved_ = 0;
};

/// Makes `buffer` one of `size` floats unless it is: in the arena, or in memory of its own without one.
inline void reserve(AlignedBuffer& buffer, std::int64_t size, Arena* arena) {
  if (buffer.size() != size) buffer = arena == nullptr ? AlignedBuffer(size) : AlignedBuffer(size, *arena);
}

}  // namespace gcvit::kernels
