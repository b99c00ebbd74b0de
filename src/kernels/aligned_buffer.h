// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace gcvit::kernels {

/// Cache line and widest vector of any target, in bytes.
inline constexpr std::size_t kAlignment = 64;

class Arena;

/// Floats on a 64-byte boundary, not initialised. Large ones lie on huge pages where the system has them, which walks
/// over rows that are far apart depend on. Move-only.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::int64_t size) : data_(allocate(size)), size_(size) {}
  /// In the memory of the arena, which must outlive it.
  AlignedBuffer(std::int64_t size, Arena& arena);

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }

 private:
  struct Delete {
    std::align_val_t boundary;  ///< 0 for an arena's memory
    Delete() : boundary{kAlignment} {}
    explicit Delete(std::align_val_t data_boundary) : boundary(data_boundary) {}
    void operator()(float* data) const {
      if (boundary != std::align_val_t{0}) ::operator delete[](data, boundary);
    }
  };
  static std::unique_ptr<float, Delete> allocate(std::int64_t size);

  std::unique_ptr<float, Delete> data_;
  std::int64_t size_ = 0;
};

}  // namespace gcvit::kernels
