// SPDX-License-Identifier: Apache-2.0
#include "native/scratch.h"

#include "base/error.h"

namespace gcvit::native {

void Scratch::reserve(std::int64_t floats, std::int64_t pointers) {
  if (floats_.size() < floats) floats_ = kernels::AlignedBuffer(floats);
  if (static_cast<std::int64_t>(pointers_.size()) < pointers) pointers_.resize(static_cast<std::size_t>(pointers));
}

float* Scratch::floats(std::int64_t count) {
  float* piece = floats_.data() + used_floats_;
  used_floats_ += rounded(count);
  if (used_floats_ > floats_.size()) fail("[native] scratch: expected at most {} floats", floats_.size());
  return piece;
}

const float** Scratch::pointers(std::int64_t count) {
  const float** piece = pointers_.data() + used_pointers_;
  used_pointers_ += count;
  if (used_pointers_ > static_cast<std::int64_t>(pointers_.size())) {
    fail("[native] scratch: expected at most {} pointers", pointers_.size());
  }
  return piece;
}

}  // namespace gcvit::native
