// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.h"

namespace gcvit::native {

/// The buffers of all values. A freed buffer is kept and handed out again to the next value it is large enough for, so
/// a run that repeats the last one allocates nothing.
class ValueStore {
 public:
  /// A new value with one handle and a buffer of `size` floats, not initialised.
  std::int32_t create(std::int64_t size);
  void retain(std::int32_t id) { ++slots_[static_cast<std::size_t>(id)].handles; }
  void release(std::int32_t id) noexcept;
  /// Gives back every buffer that no value uses.
  void free_unused();
  /// The floats it was created with.
  std::int64_t size(std::int32_t id) const { return slots_[static_cast<std::size_t>(id)].size; }
  float* data(std::int32_t id) { return slots_[static_cast<std::size_t>(id)].buffer.data(); }
  /// The node of a training run that the value is; -1 for none.
  std::int32_t& node(std::int32_t id) { return slots_[static_cast<std::size_t>(id)].node; }
  /// Values made from here on are those of a new run, and no value is a node of a training run any more.
  void start_run() {
    ++run_;
    forget_nodes();
  }
  /// Whether the value was made in this run.
  bool is_current(std::int32_t id) const { return slots_[static_cast<std::size_t>(id)].run == run_; }
  /// No value is a node of a training run any more.
  void forget_nodes() {
    for (Slot& slot : slots_) slot.node = -1;
  }

 private:
  struct Slot {
    kernels::AlignedBuffer buffer;
    std::int64_t size = 0;
    std::uint64_t run = 0;
    std::int32_t handles = 0;
    std::int32_t node = -1;
  };
  std::vector<Slot> slots_;  ///< a slot without handles keeps its buffer for reuse
  std::uint64_t run_ = 0;
};

}  // namespace gcvit::native
