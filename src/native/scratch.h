// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.h"

namespace gcvit::native {

/// Memory that one worker uses inside one operation.
class Scratch {
 public:
  /// Makes room for that many floats and row pointers; keeps what there is when it is enough.
  void reserve(std::int64_t floats, std::int64_t pointers);
  /// The first piece is handed out anew.
  void reset() { used_floats_ = used_pointers_ = 0; }
  /// What has been handed out since `mark` is free again after `release(mark)`.
  struct Mark {
    std::int64_t floats, pointers;
  };
  Mark mark() const { return {used_floats_, used_pointers_}; }
  void release(Mark mark) {
    used_floats_ = mark.floats;
    used_pointers_ = mark.pointers;
  }
  /// The next `count` floats, on a 64-byte boundary.
  float* floats(std::int64_t count);
  const float** pointers(std::int64_t count);
  float** mutable_pointers(std::int64_t count) { return const_cast<float**>(pointers(count)); }

  /// Floats that `floats(count)` takes.
  static std::int64_t rounded(std::int64_t count) { return (count + 15) / 16 * 16; }

 private:
  kernels::AlignedBuffer floats_;
  std::vector<const float*> pointers_;
  std::int64_t used_floats_ = 0;
  std::int64_t used_pointers_ = 0;
};

}  // namespace gcvit::native
