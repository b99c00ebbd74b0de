// SPDX-License-Identifier: Apache-2.0
#include "native/value_store.h"

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
  chosen->run = run_;
  chosen->node = -1;
  return static_cast<std::int32_t>(chosen - slots_.data());
}

void ValueStore::free_unused() {
  for (Slot& slot : slots_) {
    if (slot.handles == 0) slot.buffer = {};
  }
}

void ValueStore::release(std::int32_t id) noexcept { --slots_[static_cast<std::size_t>(id)].handles; }

}  // namespace gcvit::native
