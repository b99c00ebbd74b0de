// SPDX-License-Identifier: Apache-2.0
#include "kernels/aligned_buffer.h"

#include <sys/mman.h>

namespace gcvit::kernels {

auto AlignedBuffer::allocate(std::int64_t size) -> std::unique_ptr<float, Delete> {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  std::size_t bytes = static_cast<std::size_t>(size) * sizeof(float);
  // Below this the unused rest of the last page would be too large a share.
  const bool huge = bytes >= kHugePage / 3;
  if (huge) bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  const std::align_val_t boundary{huge ? kHugePage : kAlignment};
  auto* const data = static_cast<float*>(::operator new[](bytes, boundary));
  if (huge) static_cast<void>(::madvise(data, bytes, MADV_HUGEPAGE));  // a wish; all works without
  return {data, Delete(boundary)};
}

}  // namespace gcvit::kernels
