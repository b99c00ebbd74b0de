// SPDX-License-Identifier: Apache-2.0
#include "native/state.h"

#include <algorithm>

#include "base/error.h"

namespace gcvit::native {

std::int32_t ValueStore::create(std::int64_t size) {
  // The smallest free buffer that is large enough, else a new one: a buffer that is too small now will fit later.
  Slot* chosen = nullptr;
  for (Slot& slot : slots_) {
    if (slot.handles != 0) continue;
    const bool better = chosen == nullptr || chosen->buffer.size() == 0 || slot.buffer.size() < chosen->buffer.size();
    if (slot.buffer.size() >= size && better) chosen = &slot;
    if (slot.buffer.size() == 0 && chosen == nullptr) chosen = &slot;
  }
  if (chosen == nullptr) chosen = &slots_.emplace_back();
  if (chosen->buffer.size() < size) chosen->buffer = kernels::AlignedBuffer(size);
  chosen->size = size;
  chosen->handles = 1;
  chosen->node = -1;
  return static_cast<std::int32_t>(chosen - slots_.data());
}

void ValueStore::free_unused() {
  for (Slot& slot : slots_) {
    if (slot.handles == 0) slot.buffer = {};
  }
}

void ValueStore::release(std::int32_t id) noexcept { --slots_[static_cast<std::size_t>(id)].handles; }

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

RowTiles::RowTiles(std::int64_t count, std::int64_t limit, int threads)
    : count_(count), tiles_((count + limit - 1) / limit) {
  if (tiles_ < 8 * threads) tiles_ = (tiles_ + threads - 1) / threads * threads;
  tiles_ = std::clamp<std::int64_t>(tiles_, 1, std::max<std::int64_t>(count, 1));
}

}  // namespace gcvit::native
