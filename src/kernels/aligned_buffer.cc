// SPDX-License-Identifier: Apache-2.0
#include "kernels/aligned_buffer.h"

#include <sys/mman.h>

#include <algorithm>

#include "kernels/arena.h"

namespace gcvit::kernels {

AlignedBuffer::AlignedBuffer(std::int64_t size, Arena& arena)
    : data_(arena.allocate(size), Delete(std::align_val_t{0})), size_(size) {}

auto AlignedBuffer::allocate(std::int64_t size) -> std::unique_ptr<float, Delete> {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  std::size_t bytes = static_cast<std::size_t>(size) * sizeof(float);
  // A buffer or, beyond whole huge pages, a rest that would leave too large a share of its huge page unused stays on
  // small ones.
  const bool huge = bytes >= kHugePage / 3;
  const std::size_t rest = bytes % kHugePage;
  const bool whole = bytes < kHugePage || rest >= kHugePage / 3 * 2;
  const std::size_t on_huge = whole ? (bytes + kHugePage - 1) / kHugePage * kHugePage : bytes - rest;
  if (huge) bytes = std::max(bytes, on_huge);
  const std::align_val_t boundary{huge ? kHugePage : kAlignment};
  auto* const data = static_cast<float*>(::operator new[](bytes, boundary));
  if (huge) static_cast<void>(::madvise(data, on_huge, MADV_HUGEPAGE));  // a wish; all works without
  return {data, Delete(boundary)};
}

}  // namespace gcvit::kernels
