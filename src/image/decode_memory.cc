// SPDX-License-Identifier: Apache-2.0
#include "image/decode_memory.h"

#include <algorithm>

#include "base/memory.h"

namespace gcvit::image {

void DecodeMemory::Share::shrink(std::uint64_t bytes) {
  if (bytes >= bytes_) return;
  memory_.give_back(bytes_ - bytes);
  bytes_ = bytes;
}

std::shared_ptr<DecodeMemory::Share> DecodeMemory::take(std::uint64_t bytes, std::uint64_t limit) {
  // Made before anything is taken: it may find no memory itself.
  auto share = std::make_shared<Share>(*this, std::uint64_t{0});
  std::unique_lock lock(mutex_);
  const std::uint64_t place = arrived_++;
  changed_.wait(lock, [&] { return place == served_ && used_ + std::min(bytes, limit) <= limit; });
  ++served_;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  share->bytes_ = bytes;
  lock.unlock();
  changed_.notify_all();
  return share;
}

void DecodeMemory::give_back(std::uint64_t bytes) {
  {
    const std::scoped_lock lock(mutex_);
    used_ -= bytes;
  }
  changed_.notify_all();
}

std::uint64_t DecodeMemory::peak() const {
  const std::scoped_lock lock(mutex_);
  return peak_;
}

std::uint64_t DecodeMemory::waiting() const {
  const std::scoped_lock lock(mutex_);
  return arrived_ - served_;
}

DecodeMemory& DecodeMemory::of_process() {
  static DecodeMemory memory;
  return memory;
}

DecodeMemory& DecodeMemory::of_files() {
  static DecodeMemory memory;
  return memory;
}

std::uint64_t DecodeMemory::share_of(std::uint64_t max_memory) {
  // Asked for each picture, and the default takes reading files.
  static const std::uint64_t default_limit = default_memory_limit();
  return (max_memory != 0 ? max_memory : default_limit) / 3;
}

}  // namespace gcvit::image
